"""A file that only grows, by whole records; a checkpoint knows how long it was."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from invset.errors import RunFolderError
from invset.run.files import write_all, writing


class Grower:
    """A file open for appending whole records; each is with the operating system when `_append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with writing(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            self._length = os.fstat(self._file).st_size

    @property
    def length(self) -> int:
        """Bytes in the file, all of them whole records."""
        return self._length

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        with writing(self.path):
            try:
                write_all(self._file, data)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, self._length)  # no half records
                raise
        self._length += len(data)

    def _read(self, start: int, count: int) -> bytes:
        with writing(self.path):
            return os.pread(self._file, count, start)

    def _shorten(self, length: int) -> None:
        with writing(self.path):
            os.ftruncate(self._file, length)
        self._length = length

    def _chosen(self, length: int | None) -> int:
        if length is None:
            return self._length
        if not 0 <= length <= self._length:
            raise shorter(self.path, self._length, length)
        return length


def shorter(path: Path, size: int, length: int) -> RunFolderError:
    """The error of a journal that has lost its end."""
    return RunFolderError(
        f"{path}: has {size} bytes where the checkpoint counts {length}; its end was lost, or the file "
        "edited. Put it back as the run left it, or start a new run in another folder."
    )


def cut_short(path: Path, length: int) -> RunFolderError:
    """The error of a journal whose last record is not whole."""
    return RunFolderError(
        f"{path}: byte {length} is not the end of a whole record. Continue the run with resume=FOLDER, which "
        "goes back to the last checkpoint; if that failed, the file was edited: start a new run in another "
        "folder."
    )
