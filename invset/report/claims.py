"""Claims of the paper, or questions of ours, beside what was measured: a table of numbers."""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from invset.metrics.estimate import Estimate
from invset.report.tables import NONE, Value, format_value, number_of

RELATIONS = {
    "above": (">", operator.gt), "at least": ("≥", operator.ge),
    "below": ("<", operator.lt), "at most": ("≤", operator.le),
}  # fmt: skip


@dataclass
class Claim:
    """That one row of each group is above or below another one, or a number.

    Attributes:
        says: the paper's claim, in words.
        measure: the key of a measure, as `mean_pairwise_distance`.
        of: the name of a row of each group, as `ours`.
        relation: `above`, `at least`, `below` or `at most`.
        than: the name of another row of the group; or else
        value: a number.
        times: what the other row's measure is multiplied by first, > 0.
        paper: the paper's numbers, in words.
        ours: whether it is a question of ours, which the paper does not answer.
    """

    says: str
    measure: str
    of: str
    relation: str
    than: str | None = None
    value: float | None = None
    times: float = 1.0
    paper: str | None = None
    ours: bool = False


class Verdict(NamedTuple):
    """What was found in one group: the two numbers, the second already multiplied, and whether the claim holds.

    `holds` is None where intervals overlap, or a number is missing.
    """

    of: Value
    than: Value
    holds: bool | None


def judge(claim: Claim, cells: Mapping[str, Value]) -> Verdict:
    """Whether the claim holds in one group, given the measure's cell of each row by its name.

    It holds where the relation is true of every pair of numbers from the two intervals, and does not where it is true
    of none. A number without an interval is an interval of itself. That two intervals do not overlap is more than that
    their difference is sure: where a ratio with its own interval was measured, its claim can be decided more often.
    """
    of, than = cells.get(claim.of), cells.get(claim.than) if claim.than is not None else claim.value
    if isinstance(than, Estimate):
        than = Estimate(*(claim.times * number for number in than))
    elif isinstance(than, float | int):
        than *= claim.times
    (low, high), (other_low, other_high) = _ends(of), _ends(than)
    true = RELATIONS[claim.relation][1]
    hardest, easiest = (low, other_high), (high, other_low)
    if true in (operator.lt, operator.le):
        hardest, easiest = (high, other_low), (low, other_high)
    if math.isnan(low + high + other_low + other_high):
        return Verdict(of, than, None)
    return Verdict(of, than, True if true(*hardest) else None if true(*easiest) else False)


def claim_line(claim: Claim, title: str, rows: Mapping[str, str], verdicts: Sequence[Verdict]) -> list[str]:
    """A line of the table: what is claimed, the measure, its number here, what it is to be, and whether it holds.

    `title` is the measure's, `rows` are the titles of rows by name.
    """
    paper = f" ({claim.paper})" if claim.paper else ""
    times = f"{claim.times:g} × " if claim.times != 1 else ""
    other = f" ({times}{rows.get(claim.than, claim.than)})" if claim.than is not None else ""
    wanted = f"{RELATIONS[claim.relation][0]} {spread([verdict.than for verdict in verdicts])}{other}"
    here = spread([verdict.of for verdict in verdicts])
    return [f"{claim.says}{paper}", f"{rows.get(claim.of, claim.of)}: {title}", here, wanted, _holds(verdicts)]


def spread(cells: Sequence[Value]) -> str:
    """Several groups' numbers as one, `11.2 (9.8 to 12.5)`: median, lowest and highest; of one group it alone."""
    if len(cells) == 1:
        return format_value(cells[0])
    numbers = [number for number in map(number_of, cells) if not math.isnan(number)]
    if not numbers:
        return NONE
    median, low, high = map(format_value, (statistics.median(numbers), min(numbers), max(numbers)))
    return median if low == high else f"{median} ({low} to {high})"


def _holds(verdicts: Sequence[Verdict]) -> str:
    found = [verdict.holds for verdict in verdicts]
    if len(found) == 1:
        return {True: "yes", False: "no", None: "unclear"}[found[0]]
    parts = [f"{found.count(True)} of {len(found)}"]
    parts += [f"{count} {word}" for word, value in (("not", False), ("unclear", None)) if (count := found.count(value))]
    return ", ".join(parts)


def _ends(cell: Value) -> tuple[float, float]:
    if isinstance(cell, Estimate) and not math.isnan(cell.low):
        return cell.low, cell.high
    return number_of(cell), number_of(cell)
