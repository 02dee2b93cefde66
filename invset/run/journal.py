"""A journal: a CSV file that only grows, of numbers that read back exactly."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from ctypes import c_float
from pathlib import Path

from invset.errors import RunFolderError
from invset.run.grower import Grower, cut_short


class Journal(Grower):
    """A CSV file that only grows. Make one with `Journal.open`; close it, or use it in a `with`."""

    _columns = 0

    @classmethod
    def open(cls, path: Path, header: Sequence[str], length: int | None = None) -> Journal:
        """Start a journal, or go on with one.

        Args:
            path: the CSV file; it is made if there is none.
            header: names of the columns, the file's first line.
            length: cut the file to so many bytes first (0: begin anew); None keeps all of it.

        Raises:
            RunFolderError: the file is shorter than `length`, has another header, or does not end with a
                whole line (it is left as it was then), or cannot be written.
        """
        journal = cls(path)
        try:
            journal._columns = len(header)
            first = _lines([header], len(header))
            kept = journal._chosen(length)
            if kept and journal._read(0, len(first)) != first:
                raise RunFolderError(
                    f"{path}: its first line is not {','.join(header)!r}. Another version wrote it, or for "
                    "another unit: start a new run in another folder."
                )
            if kept and (kept < len(first) or journal._read(kept - 1, 1) != b"\n"):
                raise cut_short(path, kept)
            if kept < journal.length:
                journal._shorten(kept)
            if not kept:
                journal._append(first)
        except BaseException:
            journal.close()
            raise
        return journal

    def append(self, rows: Iterable[Sequence[str | int | float]]) -> None:
        """Add rows in one write; a float is taken as float32, in the 6 to 9 digits that read back to it.

        Raises:
            RunFolderError: the file cannot be written; it then ends with the row before these.
            ValueError: a row has not as many entries as the header.
            TypeError: an entry is not a string, an integer, a bool (written 1 or 0) or a float.
        """
        if data := _lines(rows, self._columns):
            self._append(data)


def _lines(rows: Iterable[Sequence[str | int | float]], columns: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if len(row) != columns:
            raise ValueError(f"a row of {len(row)} entries in a journal of {columns} columns")
        writer.writerow([_written(entry) for entry in row])
    return text.getvalue().encode()


def _written(entry: str | int | float) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, int):
        return str(int(entry))
    if not isinstance(entry, float):
        raise TypeError(f"a journal takes strings, integers and floats, not {type(entry).__name__}")
    number = c_float(entry).value
    if not math.isfinite(number):
        return str(number)
    digits = (f"{number:.{count}g}" for count in (6, 7, 8))
    return next((text for text in digits if c_float(float(text)).value == number), f"{number:.9g}")
