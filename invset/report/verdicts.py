"""Whether a claim holds in one group, and why, by numbers with their intervals.

That two intervals do not overlap is more than that their difference is sure: where a ratio with its own interval was
measured, a claim that it is above 1 can be told more often.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import NamedTuple

from invset.metrics.estimate import Estimate
from invset.report.claims import RELATIONS, Claim
from invset.report.measured import Cell
from invset.report.prose import in_markdown
from invset.report.tables import shown

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"


class Verdict(NamedTuple):
    """What was found in one group.

    Attributes:
        group: its title.
        outcome: `HOLDS`, `FAILS` or `UNKNOWN`.
        numbers: what was compared, in words for Markdown; empty where a number is missing.
        reason: why it cannot be told, in words for Markdown; else empty.
        of: the row's number; NaN where one of the two is missing.
        than: the other row's, not yet multiplied, or the claim's value; NaN as for `of`.
        without_interval: the rows that are one number each.
    """

    group: str
    outcome: str
    numbers: str
    reason: str
    of: float = math.nan
    than: float = math.nan
    without_interval: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The numbers and the reason, in words for Markdown."""
        return "; ".join(part for part in (self.numbers, self.reason) if part)


def verdict_of(claim: Claim, title: str, group: str, rows: Mapping[str, Mapping[str, Cell]]) -> Verdict:
    """Whether the claim holds in one group.

    It holds where the relation is true of every pair of numbers from the two intervals, does not where it is true of
    none, and else cannot be told. A number without an interval, or with NaN for one, is an interval of itself.

    Args:
        claim: what to look for.
        title: of the claim's measure, for people.
        group: its title.
        rows: name of a row -> key of a measure -> its cell.
    """
    of = _measured(rows, claim.of, claim.measure, title)
    than = (
        _measured(rows, claim.than, claim.measure, title)
        if claim.than is not None
        else Estimate(float(claim.value or 0), math.nan, math.nan)
    )
    if isinstance(of, str) or isinstance(than, str):
        missing = [side for side in (of, than) if isinstance(side, str)]
        return Verdict(group, UNKNOWN, "", " and ".join(missing))
    measured = [(claim.of, of)] if claim.than is None else [(claim.of, of), (claim.than, than)]
    bare = tuple(name for name, side in measured if not _has_interval(side))
    scaled = Estimate(*(claim.times * number for number in than))
    outcome = _outcome(claim.relation, of, scaled)
    other = shown(than) if claim.times == 1 else f"{shown(scaled)}, {claim.times:g} times {shown(than)}"
    numbers = f"{in_markdown(title)} {shown(of)} against {other}{_remark(bare, len(measured))}"
    reason = "" if outcome != UNKNOWN else _overlap(of, than)
    return Verdict(group, outcome, numbers, reason, of.value, than.value, bare)


def _measured(rows: Mapping[str, Mapping[str, Cell]], row: str, measure: str, title: str) -> Estimate | str:
    """The number, or in words why there is none."""
    if row not in rows:
        return f"{in_markdown(row)} is missing"
    cell = rows[row].get(measure)
    if isinstance(cell, str):
        return f"{in_markdown(title)} of {in_markdown(row)} is a text"
    value = math.nan if cell is None else cell.value if isinstance(cell, Estimate) else float(cell)
    if math.isnan(value):
        return f"{in_markdown(row)} has no {in_markdown(title)}"
    return cell if isinstance(cell, Estimate) else Estimate(value, math.nan, math.nan)


def _outcome(relation: str, of: Estimate, than: Estimate) -> str:
    true = RELATIONS[relation]
    (low, high), (other_low, other_high) = _ends(of), _ends(than)
    hardest, easiest = (low, other_high), (high, other_low)
    if RELATIONS[relation] in (operator.lt, operator.le):
        hardest, easiest = (high, other_low), (low, other_high)
    return HOLDS if true(*hardest) else UNKNOWN if true(*easiest) else FAILS


def _ends(side: Estimate) -> tuple[float, float]:
    return (side.low, side.high) if _has_interval(side) else (side.value, side.value)


def _has_interval(side: Estimate) -> bool:
    return not math.isnan(side.low)


def _overlap(of: Estimate, than: Estimate) -> str:
    both = _has_interval(of) and _has_interval(than)
    return "the intervals overlap" if both else "the interval holds the other number"


def _remark(bare: tuple[str, ...], sides: int) -> str:
    if not bare:
        return ""
    if len(bare) < sides:
        return f" ({in_markdown(bare[0])} is one number, no interval)"
    return " (one number each, no interval)" if sides > 1 else " (one number, no interval)"
