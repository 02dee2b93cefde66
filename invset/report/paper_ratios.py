"""The first row of each group over another one: of any measure, for one group and for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from invset.metrics.across import difference_over_groups, ratio_over_groups, sign_count
from invset.metrics.estimate import Estimate
from invset.report.measured import Cell
from invset.report.paper_tables import markdown, titles_of
from invset.report.tables import shown

if TYPE_CHECKING:
    from invset.report.paper import Measurement

DISTANCE = "mean_pairwise_distance"


def ratio(group: Measurement, measure: str, row: str) -> Estimate | None:
    """The first row's measure over that of `row`, with its interval; None if there is none, or it is 0 or infinite.

    The ratio of mean distances has the interval that both were resampled for. Of other measures with intervals the two
    are taken as independent, and their relative errors add up as squares.
    """
    if measure == DISTANCE:
        found = group.cell(row, "distance_ratio")
        return found if isinstance(found, Estimate) and 0 < found.value < math.inf else None
    ours, theirs = group.cell(group.names[0], measure), group.cell(row, measure)
    above, below = _number(ours), _number(theirs)
    if not (0 < above < math.inf and 0 < below < math.inf):
        return None
    value = above / below
    errors = [_relative_errors(cell) for cell in (ours, theirs)]
    low = math.exp(-math.hypot(errors[0][0], errors[1][1]))
    high = math.exp(math.hypot(errors[0][1], errors[1][0]))
    return Estimate(value, value * low, value * high)


def mean_ratio(groups: Sequence[Measurement], measure: str, title: str) -> Iterator[str]:
    """In words the mean of the first row over the second, if it is one of several groups."""
    ratios = [found for group in groups if (found := ratio(group, measure, group.names[1])) is not None]
    if len(ratios) > 1:
        above, below = sign_count(ratios)
        yield (
            f"The geometric mean of {len(ratios)} ratios ({title}) is {shown(ratio_over_groups(ratios))}, the "
            f"interval from their spread; {above} are above 1, {below} below."
        )


def across(ratios: Sequence[str], differences: Sequence[str], groups: Sequence[Measurement]) -> str:
    """Markdown: a line a measure, a column for each row but the first; means over the groups that have both."""
    first, titles = groups[0], titles_of(groups)
    others = list(zip(first.names, first.titles, strict=True))[1:]
    lines = [
        [titles.get(measure, measure), *(_of_all(groups, measure, row, measure in differences) for row, _ in others)]
        for measure in (*ratios, *differences)
    ]
    return markdown(["", *(f"{first.titles[0]} against {title}" for _, title in others)], lines)


def _of_all(groups: Sequence[Measurement], measure: str, row: str, difference: bool) -> str:
    groups = [group for group in groups if row in group.names]
    if difference:
        pairs = [(_number(group.cell(group.names[0], measure)), _number(group.cell(row, measure))) for group in groups]
        found = [ours - theirs for ours, theirs in pairs if math.isfinite(ours - theirs)]
        if not found:
            return shown(None)
        more, less = sum(one > 0 for one in found), sum(one < 0 for one in found)
        mean = difference_over_groups(found)
        return f"{_signed(mean.value)} [{_signed(mean.low)}, {_signed(mean.high)}]; {more} more, {less} less"
    ratios = [one for group in groups if (one := ratio(group, measure, row)) is not None]
    if not ratios:
        return shown(None)
    above, below = sign_count(ratios)
    return f"× {shown(ratio_over_groups(ratios))}; {above} above, {below} below"


def _signed(number: float) -> str:
    return shown(None) if math.isnan(number) else f"{number:+.3f}"


def _number(cell: Cell) -> float:
    if isinstance(cell, Estimate):
        return cell.value
    return cell if isinstance(cell, float | int) else math.nan


def _relative_errors(cell: Cell) -> tuple[float, float]:
    """How far, in logarithms, the interval reaches below and above; NaN for an end that is 0, nothing or unknown."""
    if not isinstance(cell, Estimate):
        return math.nan, math.nan
    low = math.log(cell.value / cell.low) if cell.low > 0 else math.nan
    return low, math.log(cell.high / cell.value) if 0 < cell.high < math.inf else math.nan
