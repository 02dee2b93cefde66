"""The samples' codes while a run goes: a file of raw float32 that only grows."""

from __future__ import annotations

from array import array
from pathlib import Path

import torch
from torch import Tensor

from invset.errors import RunFolderError
from invset.run.grower import Grower, cut_short

_FLOAT = 4  # bytes of a float32


class CodeJournal(Grower):
    """Codes as raw float32, one after the other. Make one with `open`; close it, or use a `with`."""

    code_size = 0

    @classmethod
    def open(cls, path: Path, code_size: int, length: int | None = None) -> CodeJournal:
        """Start a journal of codes (code_size,), or go on with one, cut to `length` bytes (None: all of it).

        Raises:
            RunFolderError: the file is shorter than `length` or does not end with a whole code (it is left as
                it was then), or cannot be written.
        """
        journal = cls(path)
        try:
            journal.code_size = code_size
            kept = journal._chosen(length)
            if kept % (_FLOAT * code_size):
                raise cut_short(path, kept)
            if kept < journal.length:
                journal._shorten(kept)
        except BaseException:
            journal.close()
            raise
        return journal

    def append(self, codes: Tensor) -> None:
        """Add (k, code_size) float32 codes, on any device, in one write.

        Raises:
            RunFolderError: the file cannot be written; it then ends with the code before these.
            ValueError: the codes have another shape or dtype.
        """
        if codes.ndim != 2 or codes.shape[1] != self.code_size or codes.dtype != torch.float32:
            given = f"{tuple(codes.shape)} {codes.dtype}"
            raise ValueError(f"codes are (k, {self.code_size}) float32, not {given}")
        self._append(array("f", codes.detach().flatten().tolist()).tobytes())


def read_codes(path: Path, code_size: int) -> Tensor:
    """The codes in a `CodeJournal`'s file: (n, code_size) float32, bit for bit.

    Raises:
        RunFolderError: the file cannot be read, or does not end with a whole code.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error.strerror}). Mend the path, or put the file back."
        ) from error
    if len(data) % (_FLOAT * code_size):
        raise cut_short(path, len(data))
    if not data:
        return torch.empty(0, code_size)
    return torch.frombuffer(bytearray(data), dtype=torch.float32).view(-1, code_size)
