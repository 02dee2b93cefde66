"""Errors of the disk in one line, writing that a kill cannot leave half done, and paths as users write them.

"Atomic" is against a killed process: a file is written beside its place and renamed into it. Nothing is forced to
the disk (fsync), which would cost more than a step of the sampler: after a power cut the file system decides.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from invset.errors import InvsetError

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


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`: the old file or the new one is there at every moment, never half of one.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def temporary_name(name: str) -> str:
    """What a file is called while it is being written."""
    return f".{name}.tmp"


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` is the home folder, where there is one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # then there is no such file, which is said when it is opened
        return Path(path)
