"""Errors of the disk in one line, writing that a kill cannot leave half done, and paths as users write them.

"Atomic" is against a killed process: a file is written beside its place and renamed into it. Against a power cut a file
has to be forced to the disk, which costs milliseconds: that is done where it is asked for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

from invset.errors import InvsetError

T = TypeVar("T")
R = TypeVar("R")

FLUSHED_AT_ONCE = 8  # files; a file system that is given several at once is ten times as quick
_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EACCES: "get the right to do so",
    errno.EPERM: "get the right to do so",
    errno.EROFS: "make the file system writable",
    errno.ENOENT: "put back what is missing",
    errno.EMFILE: "raise the limit on open files",
    errno.ENAMETOOLONG: "choose a shorter path",
}


@contextmanager
def describing(
    error_class: type[InvsetError], path: Path, advice: str, action: Literal["written", "read"] = "written"
) -> Iterator[None]:
    """Turn an OSError of the block into one line: the file, the cause, what helps against it, and the advice.

    Args:
        error_class: what is raised instead.
        path: the file or folder that the block is about.
        advice: how the sentence ends, as ", then resume the run".
        action: what could not be done to the file.
    """
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "mend that")
        raise error_class(f"{path}: cannot be {action} ({cause}): {remedy}{advice}.") from error


def write_atomically(path: Path, data: bytes, flushed: bool = False) -> None:
    """Put `data` at `path`: the old file or the new one is there at every moment, never half of one.

    `flushed`: the new one is on the disk before the old one goes, and stays after a power cut.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        temporary.write_bytes(data)
        if flushed:
            flush([temporary])
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if flushed:
        flush([path.parent])


def flush(paths: Iterable[Path]) -> None:
    """Force files, and the names in folders, to the disk.

    Raises:
        OSError: one is not there, or the disk failed.
    """
    list(map_on_threads(_flush, list(paths), FLUSHED_AT_ONCE))


def map_on_threads(work: Callable[[T], R], items: Sequence[T], threads: int) -> Iterator[R]:
    """`map`, on so many threads; on this one where another cannot be started."""
    threads = min(threads, len(items))
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            results = pool.map(work, items)
        except RuntimeError:  # "can't start new thread"
            pool.shutdown(cancel_futures=True)
            results = map(work, items)
        yield from results


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of folders, on some file systems
            raise
    finally:
        os.close(file)


def temporary_name(name: str) -> str:
    """What a file is called while it is being written."""
    return f".{name}.tmp"


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` is the home folder, where there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # then there is no such file, which is said when it is opened
        return Path(path)
