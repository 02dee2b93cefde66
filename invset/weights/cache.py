"""Files of weights on this machine: where they are, and whether they are right.

A file is right if it matches the published checksums. Where none is published the first file is trusted, recorded
with its SHA-256, and has to be the same from then on.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from invset.errors import WeightsError
from invset.files import describing, write_atomically
from invset.weights.archive import extract
from invset.weights.formats import HEAD, is_page
from invset.weights.known import PREFIX, SourceError, Weights

RECORDS = "records.json"
ELSEWHERE = ", or set INVSET_CACHE to a folder elsewhere"  # what else to do if the cache cannot be written


class Record(NamedTuple):
    """A file as it was when it was checked.

    `mtime` in nanoseconds; `source` an address, or where it came from in words; `checked` a date with its zone.
    """

    sha256: str
    size: int
    mtime: int
    source: str
    checked: str


def folder() -> Path:
    """The folder of weights: `weights` in $INVSET_CACHE, else in $XDG_CACHE_HOME/invset, else in ~/.cache/invset."""
    return _user_folder("INVSET_CACHE", "invset") / "weights"


def offline() -> bool:
    """Whether INVSET_OFFLINE forbids the network."""
    return os.environ.get("INVSET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def place(weights: Weights) -> Path:
    """Where the cache keeps a file, whether or not it is there."""
    return folder() / weights.file


def candidates(weights: Weights) -> list[Path]:
    """The files of that name that are here, in the cache or, of torchvision's, in torch hub's folder."""
    paths = [place(weights)]
    if PREFIX in weights.checksums:
        paths.append(_user_folder("TORCH_HOME", "torch") / "hub" / "checkpoints" / weights.file)
    return [path for path in paths if path.is_file()]


def recorded(weights: Weights) -> Path | None:
    """The file, if it was found right before and has not changed since; it is not read."""
    record = read_records().get(weights.name)
    beginning = weights.checksums.get("sha256", weights.checksums.get(PREFIX, ""))
    if record is not None and record.sha256.startswith(beginning):
        for path in candidates(weights):
            state = path.stat()
            if (state.st_size, state.st_mtime_ns) == (record.size, record.mtime):
                return path
    return None


def checked(weights: Weights) -> Path | None:
    """The file, if it is here and right; read only if it changed since it last was.

    Raises:
        WeightsError: the file or the records cannot be read.
    """
    found = recorded(weights)
    if found is None:
        path, mistake = verify(weights)
        found = path if mistake is None else None
    return found


def require(weights: Weights) -> Path:
    """As `checked`, but a file that is not here is a WeightsError, which says exactly what to put where."""
    found = checked(weights)
    if found is not None:
        return found
    path, mistake = verify(weights)
    there = "not here" if path is None else f"{path} is not the right file ({mistake})"
    network = ", and INVSET_OFFLINE forbids to fetch it" if offline() else f"; run: invset weights fetch {weights.name}"
    raise WeightsError(f"weights {weights.name}: {there}{network}.\n{instructions(weights)}")


def verify(weights: Weights) -> tuple[Path | None, str | None]:
    """Read the file and compare it with its published checksums, or else with what was recorded on first use.

    Returns:
        The file that is here, None if there is none; and what is wrong with it, None if it is right.

    Raises:
        WeightsError: the file or the records cannot be read.
    """
    wrong: tuple[Path | None, str | None] = None, None
    for path in candidates(weights):
        record = read_records().get(weights.name)
        try:
            sha256 = examine(weights, path, record)
        except SourceError as error:
            wrong = path, str(error)
            continue
        if path != recorded(weights):
            with suppress(WeightsError):  # a cache that may only be read is as good; its files are read each time
                _write_record(weights, path, sha256, "found in the cache folder" if record is None else record.source)
        return path, None
    return wrong


def examine(weights: Weights, path: Path, record: Record | None) -> str:
    """The SHA-256 of a file, if it matches what is published or, where nothing is, the record (None: any is trusted).

    Raises:
        SourceError: it is another file; says how that is known.
        WeightsError: it cannot be read.
    """
    found = {}
    with describing(WeightsError, path, ELSEWHERE, "read"), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if is_page(file.read(HEAD)):
            raise SourceError("it is a web page, not a file of weights")
        if not size or weights.size not in (None, size):
            raise SourceError(f"it has {size:,} bytes" + (f", not {weights.size:,}" if weights.size else ""))
        for name in {"sha256", *weights.checksums} - {PREFIX}:
            file.seek(0)
            found[name] = hashlib.file_digest(file, name).hexdigest()
    for name, wanted in weights.checksums.items():
        algorithm, beginning = ("sha256", "begin with ") if name == PREFIX else (name, "be ")
        if not found[algorithm].startswith(wanted):
            raise SourceError(f"its {algorithm} is {found[algorithm]}, and should {beginning}{wanted}")
    if not weights.checksums and record is not None and record.sha256 != found["sha256"]:
        raise SourceError(
            f"its sha256 is {found['sha256']}, not {record.sha256} as on first use ({record.checked}, "
            f"{record.source}); to trust this one, get it by hand and run: invset weights add {weights.name} PATH"
        )
    return found["sha256"]


def keep(weights: Weights, file: Path, sha256: str, source: str) -> Path:
    """Move a file that was found right to its place in the cache, and record it.

    Raises:
        WeightsError: it cannot be written.
    """
    with describing(WeightsError, place(weights), ELSEWHERE):
        file.replace(place(weights))
    _write_record(weights, place(weights), sha256, source)
    return place(weights)


def add(weights: Weights, path: Path) -> Path:
    """Copy a file that was got by hand, or an archive with it inside, into the cache; `path` itself stays as it is.

    The copy is compared with the published checksums. Without any it is trusted and recorded, in the place of what
    was recorded before.

    Raises:
        WeightsError: it is not the file; or it cannot be read, or the copy not written.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'not a file' if path.exists() else 'there is no such file'}.")
    temporary = place(weights).with_name(f".{weights.file}.added")
    with locked(weights.file):
        try:
            _copy(weights, path, temporary)
            sha256 = examine(weights, temporary, None)
            return keep(weights, temporary, sha256, f"added by hand from {path.absolute()}")
        except SourceError as error:
            raise WeightsError(
                f"{path}: not the file of {weights.name}: {error}. Nothing was added.\n{instructions(weights)}"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process that writes this file of the cache; `waiting` is called if another one does.

    Raises:
        WeightsError: the folder cannot be written.
    """
    path = folder() / f".{name}.lock"
    lock = FileLock(path)
    with describing(WeightsError, path, ELSEWHERE):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def read_records() -> dict[str, Record]:
    """What was recorded of files of weights, by the weights' names.

    Raises:
        WeightsError: the file of records cannot be read, or holds something else.
    """
    path = folder() / RECORDS
    if not path.exists():
        return {}
    try:
        with describing(WeightsError, path, ELSEWHERE, "read"):
            entries = json.loads(path.read_bytes()).items()
        return {name: Record(*(entry[field] for field in Record._fields)) for name, entry in entries}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not a file of records. Remove it; files of weights are then checked anew, and those without a "
            "published checksum trusted anew."
        ) from error


def describe_trust(weights: Weights, record: Record | None) -> str:
    """What a file that is right was compared with."""
    if weights.checksums:
        return f"matches the published {' and '.join(weights.checksums)}"
    if record is None:
        return "no checksum is published: trusted on first use, and recorded"
    return f"as on first use ({record.checked}, {record.source}); no checksum is published"


def instructions(weights: Weights) -> str:
    """How to get the file by hand: its marks, the addresses, the command."""
    marks = [] if weights.size is None else [f"{weights.size:,} bytes"]
    marks += [f"{algorithm} {digest}" for algorithm, digest in weights.checksums.items()]
    lines = [f"By hand: get {weights.file} ({', '.join(marks) or 'no size or checksum is published'})"]
    for source in weights.sources:
        inside = f" (an archive with {source.member} in it; give add the archive)" if source.member else ""
        lines.append(f"  from {source.url}{inside}")
    lines.append(f"then run: invset weights add {weights.name} PATH")
    lines.append(f"which keeps it as {place(weights)}. Terms: {weights.terms}.")
    return "\n".join(lines)


def _copy(weights: Weights, path: Path, target: Path) -> None:
    """The file itself, or what is wanted out of it."""
    members = {source.member for source in weights.sources if source.member is not None}
    with describing(WeightsError, path, ", and try again", "read"), path.open("rb") as file:
        head = file.read(HEAD)
    is_archive = head.startswith((b"PK\x03\x04", b"\x1f\x8b")) or head[257:262] == b"ustar"  # zip, gzip, tar
    with describing(WeightsError, target, ELSEWHERE):
        if members and is_archive:
            extract(path, members, target)
        else:
            shutil.copyfile(path, target)


def _write_record(weights: Weights, path: Path, sha256: str, source: str) -> None:
    """In the place of the one of that name, whatever other processes do to other names."""
    state = path.stat()
    record = Record(sha256, state.st_size, state.st_mtime_ns, source, time.strftime("%Y-%m-%d %H:%M:%S %z"))
    with locked(RECORDS):
        records = {**read_records(), weights.name: record}
        text = json.dumps({name: entry._asdict() for name, entry in sorted(records.items())}, indent=2)
        with describing(WeightsError, folder() / RECORDS, ELSEWHERE):
            write_atomically(folder() / RECORDS, f"{text}\n".encode())


def _user_folder(variable: str, name: str) -> Path:
    """$VARIABLE, else the folder of that name in $XDG_CACHE_HOME, else in ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(os.environ.get(variable) or f"{cache}/{name}").expanduser().absolute()
    except RuntimeError as error:
        raise WeightsError("There is no home folder: set INVSET_CACHE to a folder for files of weights.") from error
