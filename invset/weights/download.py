"""One address to one file, over HTTP that drops, stalls, changes its mind, and lies.

The file grows as FILE.part; beside it FILE.part.json says which address it came from and which version of the file
that was (ETag or Last-Modified), so that the rest can be asked for later, of the same version only (RFC 9110,
sections 13.1.5 and 14). Nothing here says that the bytes are right: that is the caller's to check.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests

from invset import __version__
from invset.weights import disk
from invset.weights.known import SourceError
from invset.weights.responses import Retry, explained, length, require_file, require_ok, validator

_PIECE = 1 << 18
_GAIN = 1 << 20  # bytes: as many as this make the earlier failures forgotten
_MOST_REQUESTS = 1000  # to one source, whatever each gains
_NOTED = ("url", "validator", "total")


@dataclass(frozen=True)
class Patience:
    """How long to put up with a source: all in seconds but `tries`, the failures in a row, and `slowest`, bytes/s."""

    connect: float = 15.0
    read: float = 60.0
    tries: int = 5
    backoff: float = 1.0
    longest_wait: float = 60.0
    slowest: float = 1000.0
    window: float = 60.0


@dataclass(frozen=True)
class Wanted:
    """What is downloaded: `size` of the file if it is known, `most` it may have, `trusted` if checksums will tell."""

    url: str
    size: int | None
    most: int
    trusted: bool
    packed: bool


Moved = Callable[[int, int | None], None]
Waits = Callable[[str, float], None]


def download(wanted: Wanted, part: Path, patience: Patience, moved: Moved, waits: Waits) -> bool:
    """Make `part` the whole of what the address gives; goes on from what is there of the same version.

    Args:
        wanted: the address, and what is known of the file.
        part: where it grows.
        patience: how long to put up with what.
        moved: told of bytes done and in all, if known.
        waits: told why it waits, and for how many seconds, before it does.

    Returns:
        Whether it is of several pieces, which a change of the file that the server keeps quiet about would spoil.

    Raises:
        SourceError: this source does not give the file; what came is kept where it may be of use.
        WeightsError: the file cannot be written.
    """
    failures, pieces = 0, False
    with requests.Session() as session:
        session.max_redirects = 10
        for _ in range(_MOST_REQUESTS):
            before = disk.size_of(part)
            pieces = pieces or _begun(wanted, part)[0] > 0
            try:
                _request(session, wanted, part, patience, moved)
                return pieces
            except Retry as failure:
                failures = 1 if disk.size_of(part) - before >= _GAIN else failures + 1
                if failures >= (patience.tries if failure.reached else min(2, patience.tries)):
                    often = f", {failures} times in a row" if failures > 1 else ""
                    raise SourceError(f"{failure}{often}") from failure
                reason = str(failure)
                wait = min(max(failure.wait, patience.backoff * 2 ** (failures - 1)), patience.longest_wait)
            waits(reason, wait)
            time.sleep(wait)
    raise SourceError("it drops the connection again and again")


def origin(part: Path) -> str | None:
    """The address that a partial file is from, None if there is no partial file."""
    return _read_note(part)["url"] or None if disk.size_of(part) else None


def discard(part: Path) -> None:
    """Remove a partial file and what is noted of it."""
    disk.remove(_note(part))
    disk.remove(part)


def _request(session: requests.Session, wanted: Wanted, part: Path, patience: Patience, moved: Moved) -> None:
    """One request and its body."""
    have, version = _begun(wanted, part)
    if have and str(have) == _read_note(part)["total"]:
        return  # whoever fetched it was stopped before it was checked
    headers = {"Accept-Encoding": "identity", "User-Agent": f"invset/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version:
            headers["If-Range"] = version
    with explained():
        response = session.get(
            wanted.url, headers=headers, stream=True, timeout=(patience.connect, patience.read), allow_redirects=True
        )
    with response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if response.headers.get("Content-Range", "").replace(" ", "") == f"bytes*/{have}":
                return  # all of it was here
            discard(part)
            raise Retry("it has less of the file than came before")
        require_ok(response)
        require_file(response, packed=wanted.packed)
        total: int | None
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            total = _continued(response, part, have, version)
        else:
            have, total = 0, length(response)
        _require_total(wanted, total, chunked="chunked" in response.headers.get("Transfer-Encoding", "").lower())
        if not have:
            disk.remove(part)  # before the note of another version is put beside it
            _write_note(part, wanted.url, response)
        _receive(response, wanted, part, have, total, patience, moved)


def _begun(wanted: Wanted, part: Path) -> tuple[int, str]:
    """How many bytes there are to go on from, and the version they are of."""
    have, note = disk.size_of(part), _read_note(part)
    # Without a version, only a checksum could tell two halves of two files from one file.
    of_use = note["url"] == wanted.url and have <= wanted.most and (note["validator"] or wanted.trusted)
    return (have, note["validator"]) if have and of_use else (0, "")


def _continued(response: requests.Response, part: Path, have: int, version: str) -> int:
    """The length of the whole file, of which this is the rest; starts over if it is not."""
    found = re.fullmatch(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", response.headers.get("Content-Range", "").strip())
    fits = found is not None and int(found[1]) == have and int(found[2]) + 1 == int(found[3])
    changed = bool(version) and validator(response) not in ("", version)
    if found is None or not fits or changed or not have:
        discard(part)
        raise Retry("the file changed while it was fetched" if changed else "it sent another part than was asked for")
    return int(found[3])


def _receive(
    response: requests.Response,
    wanted: Wanted,
    part: Path,
    have: int,
    total: int | None,
    patience: Patience,
    moved: Moved,
) -> None:
    """Append the body to the part, and see to it that it is neither longer nor shorter nor slower than it may be."""
    most = wanted.most if total is None else total
    moved(have, total)
    with disk.writing(part):
        file = part.open("ab")
    try:
        since, then = time.monotonic(), have
        while piece := _piece(response):
            if have + len(piece) > most:
                raise SourceError(f"it sends more than {most:,} bytes")
            with disk.writing(part):
                file.write(piece)
            have += len(piece)
            moved(have, total)
            passed = time.monotonic() - since
            if passed >= patience.window:
                if have - then < patience.slowest * passed:
                    raise Retry(f"it sends fewer than {patience.slowest:g} bytes a second")
                since, then = time.monotonic(), have
    finally:
        with disk.writing(part):
            file.close()
    whole = wanted.size if total is None else total
    if whole is not None and have < whole:
        raise Retry(f"it ended the connection at {disk.in_words(have)} of {disk.in_words(whole)}")


def _piece(response: requests.Response) -> bytes:
    with explained():
        return bytes(response.raw.read1(_PIECE, decode_content=False) or b"")


def _require_total(wanted: Wanted, total: int | None, *, chunked: bool) -> None:
    if total is None:
        if wanted.size is None and not wanted.trusted and not wanted.packed and not chunked:
            raise SourceError("it does not say how long the file is, and nobody else does: a part would pass for it")
    elif wanted.size is not None and total != wanted.size:
        raise SourceError(f"its file has {total:,} bytes, not {wanted.size:,}")
    elif total > wanted.most:
        raise SourceError(f"its file has {total:,} bytes, more than any file of weights")


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(part: Path) -> dict[str, str]:
    """What is noted of a partial file, empty where nothing that can be used is."""
    try:
        note = json.loads(_note(part).read_bytes())
        return {key: text if (text := note[key]).isascii() and text.isprintable() else "" for key in _NOTED}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return dict.fromkeys(_NOTED, "")


def _write_note(part: Path, url: str, response: requests.Response) -> None:
    total = length(response)
    note = {"url": url, "validator": validator(response), "total": "" if total is None else str(total)}
    disk.put_json(_note(part), note)
