"""Weights from the network: each source in turn, checked before anything reads them, once however many ask.

What has come of FILE from an address is FILE.ADDRESS.part, of which the rest is asked for later (RFC 9110, section 14).
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from http.client import OK, PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE, responses
from pathlib import Path

import requests
import urllib3.exceptions

from invset import __version__
from invset.errors import WeightsError
from invset.files import describing
from invset.weights import archive, cache
from invset.weights.known import Source, SourceError, Weights

TRIES = 4  # failures in a row, after which a source is given up
WAIT = 1.0  # seconds after the first of them, and twice as long after each other
TIMEOUT = (15.0, 60.0)  # seconds, until it is connected and between bytes
LARGEST = 4 * 2**30  # bytes of a file of which no size is published, or of an archive

Say = Callable[[str], None]  # is given a line about what happens now
Move = Callable[[int, int | None], None]  # is given how many bytes have come, and of how many, if that is known


class _Retry(Exception):
    """The source may do better at the next try."""


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
    with cache.locked(weights.file, lambda: say("waiting for another process")):
        found = cache.checked(weights)
        return _fetch(weights, say, move) if found is None else found


def _fetch(weights: Weights, say: Say, move: Move) -> Path:
    size = "" if weights.size is None else f" ({weights.size / 1e6:,.1f} MB)"
    say(f"fetching {weights.name}{size}; terms: {weights.terms}")
    failures = []
    for source in weights.sources:
        say(f"  from {source.url}")
        part = cache.place(weights).with_name(f"{weights.file}.{zlib.crc32(source.url.encode()):08x}.part")
        try:
            _download(source, weights.size, part, say, move)
            path = _accept(weights, source, part)
        except SourceError as error:
            failures.append(f"  {source.url}: {error}")
            if not _length(part):
                part.unlink(missing_ok=True)
            continue
        say(f"  {cache.describe_trust(weights)}")
        return path
    if any(cache.folder().glob(f"{weights.file}.*.part")):
        failures.append("What came is kept: fetching again goes on from there.")
    tried = "\n".join(failures)
    raise WeightsError(f"weights {weights.name} could not be fetched:\n{tried}\n{cache.instructions(weights)}")


def _accept(weights: Weights, source: Source, part: Path) -> Path:
    """Unpack what came if it is packed, check it, and put it in its place; a part that is not right goes."""
    file = part if source.member is None else part.with_suffix(".unpacked")
    try:
        if source.member is not None:
            with describing(WeightsError, file, cache.ELSEWHERE):
                archive.extract(part, [source.member], file)
        return cache.keep(weights, file, source.url, cache.read_record(weights))
    except SourceError:
        part.unlink(missing_ok=True)
        raise
    finally:
        if file != part:
            file.unlink(missing_ok=True)


def _download(source: Source, size: int | None, part: Path, say: Say, move: Move) -> None:
    """Make `part` the whole of what the address gives, in as many tries as may help.

    Raises:
        SourceError: it does not give the file; what came is kept, unless it is more than the file.
        WeightsError: the file cannot be written.
    """
    failures = 0
    while True:
        before = _length(part)
        try:
            with describing(WeightsError, part, cache.ELSEWHERE):
                return _request(source.url, part, LARGEST if source.member or size is None else size, move)
        except _Retry as failure:
            failures = 1 if _length(part) > before else failures + 1
            if failures == TRIES:
                raise SourceError(f"{failure}, {failures} times in a row") from failure
            wait = WAIT * 2 ** (failures - 1)
            say(f"  waiting {wait:.0f} s to try again: {failure}")
            time.sleep(wait)


def _request(url: str, part: Path, most: int, move: Move) -> None:
    """One request, and its body into the part: the rest of it, if the server gives that."""
    have = _length(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"invset/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _receive(response, part, have, most, move)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _Retry(f"the connection failed ({_reason(error)})") from error


def _receive(response: requests.Response, part: Path, have: int, most: int, move: Move) -> None:
    status, span = response.status_code, response.headers.get("Content-Range", "")
    if have and status in (PARTIAL_CONTENT, REQUESTED_RANGE_NOT_SATISFIABLE):
        if span == f"bytes */{have}":
            return  # all of it was here
        if not span.startswith(f"bytes {have}-"):
            part.unlink()
            raise _Retry("it sends another part than was asked for")
    answer = f"it answers {status} {responses.get(status, '')}"
    if status >= 500 or status in (408, 425, 429):
        raise _Retry(answer)
    if status not in (OK, PARTIAL_CONTENT):
        raise SourceError(answer)
    have = have if status == PARTIAL_CONTENT else 0
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    with part.open("ab" if have else "wb") as file:
        move(have, total)
        while piece := response.raw.read1(1 << 18, decode_content=False):  # an archive is wanted packed
            file.write(piece)
            have += len(piece)
            if have > most:
                part.unlink()
                raise SourceError(f"it gives more than {most:,} bytes")
            move(have, total)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: BaseException) -> str:
    """What the innermost error says, without the objects that it says it of."""
    for inner in (getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _reason(inner)
    return str(error).rsplit(": ", 1)[-1][:160]
