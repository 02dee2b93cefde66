"""One process writes a folder: a lock that goes when its holder does, however it dies."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from invset.errors import RunFolderError
from invset.run.files import writing


def acquire(path: Path) -> int:
    """Lock the file at `path` (made if missing) for this process; returns the descriptor that holds the lock.

    The file itself stays for good: removing it would let two processes lock two files of one name.

    Raises:
        RunFolderError: another process, or another run of this one, holds it; or the file cannot be written.
    """
    with writing(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RunFolderError(
                f"{path.parent}: another process is writing this run. Wait for it, end it, or choose another folder."
            ) from error
        raise RunFolderError(
            f"{path}: cannot be locked ({error.strerror}). Choose a folder on a file system that has locks."
        ) from error
    return file


def release(file: int) -> None:
    """Give back a lock that `acquire` gave."""
    os.close(file)
