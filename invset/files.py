"""Errors of the disk in one line, writing that a kill cannot leave half done, and paths as users write them.

"Atomic" is against a killed process: a file is written beside its place and renamed into it. Against a power cut a file
has to be forced to the disk, which costs milliseconds: that is done where it is asked for.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

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
    errno.ELOOP: "put the file itself in the place of the link",
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


def read_regular(path: Path, most: int) -> BinaryIO:
    """A regular file of `most` bytes at most, open for reading. Raises OSError as `open_regular`."""
    return os.fdopen(open_regular(path, most=most), "rb")


def open_regular(path: Path, flags: int = os.O_RDONLY, most: int | None = None) -> int:
    """The descriptor of a regular file of `most` bytes at most: no link is followed, and no pipe waited for.

    Folders of runs are passed on: whatever is in one is opened by this.

    Raises:
        OSError: it is something else, or larger, or cannot be opened.
    """
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    state = os.fstat(file)
    small = most is None or state.st_size <= most
    if small and stat.S_ISREG(state.st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file" if small else f"larger than {most:,} bytes", str(path))


def write_atomically(path: Path, data: bytes, flushed: bool = False) -> None:
    """Put `data` at `path`: the old file or the new one is there at every moment, never half of one.

    `flushed`: the new one is on the disk before the old one goes, and stays after a power cut.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        temporary.unlink(missing_ok=True)  # it may be a link, which writing would follow
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


def remove_temporary(*folders: Path) -> None:
    """Remove what killed processes have left half written. Raises OSError: it cannot be removed."""
    for folder in folders:
        for leftover in folder.glob(temporary_name("*")):
            leftover.unlink(missing_ok=True)


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` is the home folder, where there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # then there is no such file, which is said when it is opened
        return Path(path)
