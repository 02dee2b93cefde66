"""What the headers of an answer over HTTP say, and what goes wrong before there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import requests
import urllib3.exceptions

from invset.weights.known import SourceError

_BUSY = (408, 425, 429)


class Retry(Exception):
    """The source may do better at the next try, after `wait` seconds if it said so."""

    def __init__(self, reason: str, wait: float = 0.0, *, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached


def require_ok(response: requests.Response) -> None:
    """Raise Retry for a server that is busy or broken, SourceError for any other answer without a file."""
    status = response.status_code
    said = f"{status} {response.reason or ''}".strip()[:80]
    if status >= 500 or status in _BUSY:
        raise Retry(f"it answers {said}", retry_after(response))
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise SourceError(f"it answers {said}")


def require_file(response: requests.Response, *, packed: bool) -> None:
    """Raise SourceError for a web page, and for a file that is not `packed` but was compressed on the way."""
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise SourceError("it answers with a web page, not a file (a login or a notice that the file has moved?)")
    # Some servers call a .tar.gz a gzipped tar: the archive is wanted as it is. Any other file is not.
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity" and not packed:
        raise SourceError(f"it sends the file compressed ({encoding[:20]}), though asked not to")


def length(response: requests.Response) -> int | None:
    """How many bytes the answer has, None if it does not say."""
    text = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"\d{1,19}", text) else None


def validator(response: requests.Response) -> str:
    """The ETag, unless it is a weak one, which cannot vouch for bytes; else when the file was last changed."""
    tag = response.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")


def retry_after(response: requests.Response) -> float:
    """For how many seconds the server asks to be left alone, 0 if it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0


@contextmanager
def explained() -> Iterator[None]:
    """Turn what requests and urllib3 raise into a try that failed, or a source that will not do."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SourceError(f"its certificate is not trusted ({reason_of(error)})") from error
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
        raise Retry("it does not answer, or stopped sending") from error
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as error:
        raise Retry(f"cannot be reached ({reason_of(error)})", reached=False) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        reached = "NewConnectionError" not in repr(error) and "NameResolution" not in repr(error)
        raise Retry(
            "it drops the connection" if reached else f"cannot be reached ({reason_of(error)})", reached=reached
        ) from error
    except requests.exceptions.RequestException as error:  # too many redirects, a redirect to nowhere
        raise SourceError(f"it cannot be followed ({reason_of(error)})") from error
    except ValueError as error:  # an address that cannot be parsed, in requests or in urllib3
        raise SourceError(f"it cannot be followed ({reason_of(error)})") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Retry("it drops the connection") from error


def reason_of(error: BaseException) -> str:
    """The innermost reason, without the addresses of objects in front of it."""
    reason: object = error
    while isinstance(reason, BaseException):
        inner = getattr(reason, "reason", None) or (reason.args[0] if reason.args else None)
        if not isinstance(inner, BaseException):
            break
        reason = inner
    text = str(reason).rsplit(">: ", 1)[-1].rsplit("): ", 1)[-1]
    return " ".join(text.removeprefix("Failed to establish a new connection: ").split())[:160]
