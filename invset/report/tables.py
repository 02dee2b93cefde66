"""A comparison as text: cells for people, Markdown, and CSV with a line for each run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from invset.metrics.estimate import Estimate
from invset.report.measured import Cell, Row

NONE = "-"  # where a run has no such number
DIGITS = 4


def shown(cell: Cell) -> str:
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
    lines = [{"run": name, **csv_line(rows, index)} for index, name in enumerate(names)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def csv_line(rows: Sequence[Row], index: int) -> dict[str, str]:
    """One run's measures by column, in full; the columns are the same for all runs of these rows."""
    line: dict[str, str] = {}
    for row in rows:
        cell = row.cells[index]
        if any(isinstance(other, Estimate) for other in row.cells):
            numbers = cell if isinstance(cell, Estimate) else Estimate(math.nan, math.nan, math.nan)
            if isinstance(cell, float | int):
                numbers = Estimate(float(cell), math.nan, math.nan)
            line |= {
                f"{row.key}{end}": _exact(number) for end, number in zip(("", "_low", "_high"), numbers, strict=True)
            }
        else:
            assert not isinstance(cell, Estimate)
            line[row.key] = "" if cell is None else cell if isinstance(cell, str) else _exact(cell)
    return line


def _exact(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.0f}" if number.is_integer() else repr(number)


def _number(number: float, digits: int = DIGITS) -> str:
    """In so many digits; whole parts are kept whole, and nothing is written as a power of ten but the tiny."""
    if math.isnan(number):
        return NONE
    if abs(number) >= 10**digits and math.isfinite(number):
        return f"{number:.0f}"
    return f"{number:.{digits}g}"
