"""A comparison as text: cells for people, Markdown, and CSV with a line for each run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from invset.metrics.estimate import Estimate
from invset.report.comparison import Row

NONE = "-"  # where a run has no such number
DIGITS = 4


def shown(cell: str | float | Estimate | None) -> str:
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


def as_markdown(names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> str:
    """A table, measures down and runs across, and the notes as a list under it."""
    lines = [["", *names], ["---", *("---:" for _ in names)], *([row.title, *map(shown, row.cells)] for row in rows)]
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
    return "\n\n".join([table, "\n".join(f"- {note}" for note in notes)]) + "\n" if notes else table + "\n"


def as_csv(names: Sequence[str], rows: Sequence[Row]) -> str:
    """A line for each run; a measure with an interval has columns `key`, `key_low` and `key_high`. Numbers in full."""
    with_interval = {row.key for row in rows if any(isinstance(cell, Estimate) for cell in row.cells)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["run"]
    for row in rows:
        header += [row.key, f"{row.key}_low", f"{row.key}_high"] if row.key in with_interval else [row.key]
    writer.writerow(header)
    for index, name in enumerate(names):
        line: list[str] = [name]
        for row in rows:
            line += _columns(row.cells[index], row.key in with_interval)
        writer.writerow(line)
    return text.getvalue()


def _columns(cell: str | float | Estimate | None, with_interval: bool) -> list[str]:
    if isinstance(cell, Estimate):
        return [_exact(number) for number in cell]
    first = "" if cell is None else cell if isinstance(cell, str) else _exact(cell)
    return [first, "", ""] if with_interval else [first]


def _exact(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.0f}" if number.is_integer() else repr(number)


def _number(number: float, digits: int = DIGITS) -> str:
    """In so many digits; whole parts are kept whole, and nothing is written as a power of ten but the tiny."""
    if math.isnan(number):
        return NONE
    if abs(number) >= 10**digits and math.isfinite(number):
        return f"{number:.0f}"
    return f"{number:.{digits}g}"
