"""Measures of several runs as text: cells for people, Markdown, and CSV with numbers in full."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from invset.metrics.estimate import Estimate

Value = str | float | Estimate | None
"""A text, a number, a number with its interval, or nothing."""

NONE = "-"  # where a run has no such number
DIGITS = 4
_MARKS = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")  # of Markdown; an underscore within a word is none


class Row(NamedTuple):
    """One measure of every run.

    Attributes:
        key: its name in files.
        title: its name for people.
        cells: one a run; None where there is no such number.
    """

    key: str
    title: str
    cells: tuple[Value, ...]


def format_value(cell: Value) -> str:
    """A cell for people: `8.379`, `8.379 [8.1, 8.6]` with an interval, or a dash."""
    if cell is None:
        return NONE
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, Estimate):
        return _number(cell)
    if math.isnan(cell.low):
        return _number(cell.value)
    return f"{_number(cell.value)} [{_number(cell.low, 3)}, {_number(cell.high, 3)}]"


def markdown(text: str) -> str:
    """A text to be read as it is, on one line, within a paragraph or a table; "?" for what cannot be printed."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return _MARKS.sub(lambda found: f"\\{found[0]}", printable)


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers."""
    rule = ["---", *("---:" for _ in header[1:])]
    whole = [[markdown(cell) for cell in header], rule, *([markdown(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in whole)


def csv_text(lines: Sequence[Mapping[str, object]]) -> str:
    """A header and a line each; a line without some column of the others has nothing there."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def csv_line(rows: Sequence[Row], index: int) -> dict[str, str]:
    """One run's measures in full; one that has an interval for some run has columns `key`, `key_low`, `key_high`."""
    line: dict[str, str] = {}
    for row in rows:
        cell = row.cells[index]
        if any(isinstance(other, Estimate) for other in row.cells):
            numbers = cell if isinstance(cell, Estimate) else Estimate(number_of(cell))
            line |= {f"{row.key}{end}": _exact(one) for end, one in zip(("", "_low", "_high"), numbers, strict=True)}
        else:
            line[row.key] = cell if isinstance(cell, str) else _exact(number_of(cell))
    return line


def number_of(cell: Value) -> float:
    """The number of a cell, without its interval; NaN of a text or nothing."""
    if isinstance(cell, Estimate):
        return cell.value
    return float(cell) if isinstance(cell, float | int) else math.nan


def _exact(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.0f}" if number.is_integer() else repr(number)


def _number(number: float, digits: int = DIGITS) -> str:
    """In so many digits; whole parts are kept whole, and nothing is written as a power of ten but the tiny."""
    if math.isnan(number):
        return NONE
    if abs(number) >= 10**digits and math.isfinite(number):
        return f"{number:.0f}"
    return f"{number:.{digits}g}"
