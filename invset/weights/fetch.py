"""Weights from the network: each source in turn, checked before anything reads them, once however many ask.

A file grows as FILE.part; beside it FILE.part.json says which address it came from and which version of the file that
was (ETag or Last-Modified), so that the rest of the same version can be asked for later (RFC 9110, sections 13.1.5
and 14).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import OK, PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE, responses
from pathlib import Path

import requests
import urllib3.exceptions

from invset import __version__
from invset.errors import WeightsError
from invset.files import describing, write_atomically
from invset.weights import archive, cache
from invset.weights.known import Source, SourceError, Weights

TRIES = 5  # failures in a row, after which a source is given up
TRIES_UNREACHED = 2  # of one that nothing came from yet, nor an answer
TIMEOUT = (15.0, 60.0)  # seconds, until it is connected and between bytes
LONGEST_WAIT = 60.0  # seconds between two tries

Say = Callable[[str], None]  # is given a line about what happens now
Move = Callable[[int, int | None], None]  # is given how many bytes have come, and of how many, if that is known


class _Retry(Exception):
    """The source may do better at the next try, after `wait` seconds; `reached`: it answered this time."""

    def __init__(self, reason: str, wait: float = 0.0, reached: bool = True) -> None:
        super().__init__(reason)
        self.wait = wait
        self.reached = reached


def fetch(weights: Weights, say: Say = lambda text: None, move: Move = lambda done, total: None) -> Path:
    """The file, from the cache or else from the first source that gives the right one.

    Another process that fetches it already is waited for. With INVSET_OFFLINE, as `cache.require`. What `say` or `move`
    raises ends the fetch, and what came is kept.

    Raises:
        WeightsError: no source gave it; says why of each, and what to do by hand. Or it cannot be kept here.
    """
    found = cache.require(weights) if cache.offline() else cache.checked(weights)
    if found is not None:
        return found
    failures = []
    with cache.locked(weights.file, lambda: say("waiting for another process")):
        found = cache.checked(weights)
        if found is not None:
            return found
        part = cache.place(weights).with_name(f"{weights.file}.part")
        for source in weights.sources:
            say(f"from {source.url}")
            try:
                _download(weights, source, part, say, move)
                return _accept(weights, source, part)
            except SourceError as error:
                failures.append(f"  {source.url}: {error}")
        if any(_begun(part, source.url)[0] for source in weights.sources):
            failures.append("What came is kept: fetching again goes on from there.")
    tried = "\n".join(failures)
    raise WeightsError(f"weights {weights.name} could not be fetched:\n{tried}\n{cache.instructions(weights)}")


def _accept(weights: Weights, source: Source, part: Path) -> Path:
    """Unpack what came if it is packed, check it, and put it in its place; else it goes."""
    file = part if source.member is None else part.with_name(f".{weights.file}.unpacked")
    try:
        if source.member is not None:
            with describing(WeightsError, file, cache.ELSEWHERE):
                archive.extract(part, [source.member], file)
        sha256 = cache.examine(weights, file, cache.read_records().get(weights.name))
        path = cache.keep(weights, file, sha256, source.url)
        _discard(part)
        return path
    except SourceError:
        _discard(part)
        raise
    finally:
        if file != part:
            file.unlink(missing_ok=True)


def _download(weights: Weights, source: Source, part: Path, say: Say, move: Move) -> None:
    """Make `part` the whole of what the source gives, in as many tries as may help.

    Raises:
        SourceError: this source does not give the file; what came is kept where it may be of use.
        WeightsError: the file cannot be written.
    """
    size = None if source.member else weights.size
    failures = 0
    with requests.Session() as session:
        while True:
            before, _ = _begun(part, source.url)
            try:
                _request(session, source.url, size, part, move)
                return
            except _Retry as failure:
                failures = 1 if _begun(part, source.url)[0] > before else failures + 1
                if failures >= (TRIES if failure.reached or before else TRIES_UNREACHED):
                    raise SourceError(f"{failure}, {failures} times in a row") from failure
                reason, wait = str(failure), min(max(failure.wait, 2.0 ** (failures - 1)), LONGEST_WAIT)
            say(f"waiting {wait:.0f} s to try again: {reason}")
            time.sleep(wait)


def _request(session: requests.Session, url: str, size: int | None, part: Path, move: Move) -> None:
    """One request, and its body into the part: the rest of it, if the server still has the same version."""
    have, version = _begun(part, url)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"invset/{__version__}"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with _explaining():
        response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
    with response:
        span = response.headers.get("Content-Range", "")
        if have and response.status_code in (PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE):
            if span == f"bytes */{have}":
                return  # all of it was here
            if not span.startswith(f"bytes {have}-"):
                _discard(part)
                raise _Retry("it sends another part than was asked for")
        _require_file(response)
        have = have if response.status_code == PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else size
        if size is not None and total != size:
            raise SourceError(f"its file has {total:,} bytes, not {size:,}")
        with describing(WeightsError, part, cache.ELSEWHERE):
            _require_room(part.parent, total - have if total is not None else 0)
            if not have:
                part.unlink(missing_ok=True)  # before the note of another version is put beside it
                _write_note(part, url, response)
            _receive(response, part, have, total, move)


def _receive(response: requests.Response, part: Path, have: int, total: int | None, move: Move) -> None:
    """Append the body to the part."""
    with part.open("ab") as file:
        while True:
            move(have, total)
            with _explaining():
                piece = response.raw.read1(1 << 18, decode_content=False)  # an archive is wanted packed
            if not piece:
                break
            file.write(piece)
            have += len(piece)
    if total is not None and have < total:
        raise _Retry(f"it ended the connection at {have / 1e6:,.1f} of {total / 1e6:,.1f} MB")


def _require_file(response: requests.Response) -> None:
    """Raise _Retry for a server that is busy or broken, SourceError for any other answer without a file."""
    status = response.status_code
    answer = f"it answers {status} {responses.get(status, '')}"
    if status >= 500 or status in (408, 425, 429):
        wait = response.headers.get("Retry-After", "")
        raise _Retry(answer, float(wait) if wait.isdecimal() else 0.0)
    if status not in (OK, PARTIAL_CONTENT):
        raise SourceError(answer)


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{folder}: {free / 1e6:,.1f} MB are free, and {needed / 1e6:,.1f} MB are to come. Make room, or set "
            "INVSET_CACHE to a folder on another disk."
        )


def _begun(part: Path, url: str) -> tuple[int, str]:
    """How many bytes of this address there are to go on from, and the version they are of."""
    try:
        note = json.loads(_note_of(part).read_bytes())
        if note["url"] == url and note["validator"]:  # without a version two halves of two files would pass for one
            return part.stat().st_size, note["validator"]
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return 0, ""


def _write_note(part: Path, url: str, response: requests.Response) -> None:
    """Write down where a part is from, and its version: a weak ETag cannot vouch for bytes."""
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    write_atomically(_note_of(part), json.dumps({"url": url, "validator": version}).encode())


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    """Remove a part and what is noted of it."""
    with describing(WeightsError, part, cache.ELSEWHERE):
        _note_of(part).unlink(missing_ok=True)
        part.unlink(missing_ok=True)


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn what requests and urllib3 raise into a try that failed, or a source that will not do."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        reached = not isinstance(error, requests.ConnectionError)
        raise _Retry(f"the connection failed ({_reason(error)})", reached=reached) from error
    except (requests.RequestException, ValueError) as error:  # redirects without end, or to nowhere
        raise SourceError(f"it cannot be followed ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    """What the innermost error says, without the objects that it says it of."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _reason(inner)
    return str(error).rsplit(": ", 1)[-1][:160]
