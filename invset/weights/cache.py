"""Files of weights on this machine: where they are, and whether they are right.

A file is right if it matches the published checksums. Where none is published the first file is trusted, and has to be
the same from then on. FILE.json in the cache is a record of FILE as it was when it was last read and found right.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from invset.errors import WeightsError
from invset.files import describing, temporary_name, write_atomically
from invset.weights.archive import extract
from invset.weights.formats import HEAD, is_page
from invset.weights.known import PREFIX, SourceError, Weights

ELSEWHERE = ", or set INVSET_CACHE to a folder elsewhere"  # what else to do if the cache cannot be written


class Record(NamedTuple):
    """A file as it was found right.

    `mtime` in nanoseconds; `source` an address, or where it came from in words; `checked` a date with its zone.
    """

    sha256: str
    size: int
    mtime: int
    source: str
    checked: str


def folder() -> Path:
    """The folder of weights: `weights` in $INVSET_CACHE, else in $XDG_CACHE_HOME/invset, else in ~/.cache/invset."""
    return user_folder("INVSET_CACHE", "invset") / "weights"


def offline() -> bool:
    """Whether INVSET_OFFLINE forbids the network."""
    return os.environ.get("INVSET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def place(weights: Weights) -> Path:
    """Where the cache keeps a file, whether or not it is there."""
    return folder() / weights.file


def find_file(weights: Weights) -> Path | None:
    """The file of that name that is here, right or wrong: in the cache or, of torchvision's, in torch hub's folder."""
    paths = [place(weights)]
    if PREFIX in weights.checksums:
        paths.append(user_folder("TORCH_HOME", "torch") / "hub" / "checkpoints" / weights.file)
    return next((path for path in paths if path.is_file()), None)


def read_record(weights: Weights) -> Record | None:
    """The record of a file; None if it has none that can be read, and is to be checked anew."""
    try:
        return Record(**json.loads(_record_path(weights).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def checked(weights: Weights) -> Path | None:
    """The file, if it is here and right; it is read only if it changed since it last was.

    Raises:
        WeightsError: the file cannot be read.
    """
    path, record = find_file(weights), read_record(weights)
    if path is None:
        return None
    state = path.stat()
    if record is None or (state.st_size, state.st_mtime_ns) != (record.size, record.mtime):
        try:
            verify(weights, path)
        except SourceError:
            return None
    return path


def require(weights: Weights) -> Path:
    """As `checked`, but a file that is not here is a WeightsError, which says exactly what to put where."""
    found = checked(weights)
    if found is not None:
        return found
    wrong = find_file(weights)
    problem = "not here" if wrong is None else f"{wrong} is not the right file"
    network = ", and INVSET_OFFLINE forbids to fetch it" if offline() else f"; run: invset weights fetch {weights.name}"
    raise WeightsError(f"weights {weights.name}: {problem}{network}.\n{instructions(weights)}")


def verify(weights: Weights, path: Path) -> None:
    """Read the file that is here; compare it with its published checksums, or else with its record; and record it.

    Raises:
        SourceError: it is another file; says how that is known.
        WeightsError: it cannot be read.
    """
    record = read_record(weights)
    sha256 = _examine(weights, path, record)
    with suppress(WeightsError):  # a cache that may only be read is as good; its files are read each time
        _write_record(weights, path, sha256, "found in the cache folder" if record is None else record.source)


def keep(weights: Weights, file: Path, source: str, record: Record | None) -> Path:
    """Check a file, move it to its place in the cache, and record it.

    Raises:
        SourceError: it is another file, by its published checksums or else by the record (None: any is trusted).
        WeightsError: it cannot be read, or the cache not be written.
    """
    sha256 = _examine(weights, file, record)
    with describing(WeightsError, place(weights), ELSEWHERE):
        file.replace(place(weights))
        for name in ("{}.*.part", "{}.*.unpacked", temporary_name("{}*")):
            for rest in folder().glob(name.format(weights.file)):
                rest.unlink(missing_ok=True)  # of other sources, or of processes that were killed
    _write_record(weights, place(weights), sha256, source)
    return place(weights)


def add(weights: Weights, path: Path) -> Path:
    """Copy a file that was got by hand, or an archive with it inside, into the cache; `path` itself stays as it is.

    The copy is compared with the published checksums. Without any it is trusted, whatever was here before.

    Raises:
        WeightsError: it is not the file; or it cannot be read, or the copy not written.
    """
    members = {source.member for source in weights.sources if source.member is not None}
    with describing(WeightsError, path, ", and try again", "read"), path.open("rb"):
        packed = bool(members) and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))
    temporary = place(weights).with_name(temporary_name(weights.file))
    with describing(WeightsError, temporary, ELSEWHERE):
        temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        with describing(WeightsError, temporary, ELSEWHERE):
            if packed:
                extract(path, members, temporary)
            else:
                shutil.copyfile(path, temporary)
        return keep(weights, temporary, f"added by hand from {path.absolute()}", None)
    except SourceError as error:
        raise WeightsError(
            f"{path}: not the file of {weights.name}: {error}. Nothing was added.\n{instructions(weights)}"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(name: str, waiting: Callable[[], None]) -> Iterator[None]:
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


def describe_trust(weights: Weights) -> str:
    """Why a file that is right is."""
    if weights.checksums:
        return f"matches the published {' and '.join(weights.checksums)}"
    return "no checksum is published: the file of the first use is trusted"


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


def _examine(weights: Weights, path: Path, record: Record | None) -> str:
    """The SHA-256 of a file that matches what is published or, where nothing is, the record (None: any is trusted)."""
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


def _write_record(weights: Weights, path: Path, sha256: str, source: str) -> None:
    state = path.stat()
    record = Record(sha256, state.st_size, state.st_mtime_ns, source, time.strftime("%Y-%m-%d %H:%M:%S %z"))
    with describing(WeightsError, _record_path(weights), ELSEWHERE):
        folder().mkdir(parents=True, exist_ok=True)
        write_atomically(_record_path(weights), json.dumps(record._asdict(), indent=2).encode())


def _record_path(weights: Weights) -> Path:
    return folder() / f"{weights.file}.json"


def user_folder(variable: str, name: str) -> Path:
    """$VARIABLE, else the folder of that name in $XDG_CACHE_HOME, else in ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(variable) or f"{cache}/{name}").expanduser().absolute()
