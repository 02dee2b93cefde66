"""The runs of one group of a figure, measured together, and what the first row is over the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from invset.metrics.estimate import Estimate, mean_over_groups, ratio_over_groups
from invset.report.readings import Measured
from invset.report.tables import NONE, Row, Value, format_value, number_of

DISTANCE = "mean_pairwise_distance"


@dataclass(frozen=True)
class Measurement:
    """The runs of one group, measured together.

    Attributes:
        title: of the group, or empty.
        names: of the runs, as claims call them.
        titles: of the runs, for people.
        samples: of each run.
        rows: the comparison's, a cell a run.
        where: what encodings are, as "in fc6 of mini".
        paper: the paper's number for the group, or None.
    """

    title: str
    names: tuple[str, ...]
    titles: tuple[str, ...]
    samples: Sequence[Measured]
    rows: Sequence[Row]
    where: str
    paper: float | None = None

    def cell(self, name: str, key: str) -> Value:
        """A run's measure; None if there is none."""
        found = next((row.cells for row in self.rows if row.key == key), None)
        return found[self.names.index(name)] if found and name in self.names else None

    def ratio(self, name: str, key: str) -> Estimate | None:
        """The first row's measure over that of `name`, with its interval; None if there is none, or it is 0 or ∞.

        The ratio of mean distances has the interval that both were resampled for. Of other measures with intervals the
        two are taken as independent, and their relative errors add up as squares.
        """
        if key == DISTANCE:
            found = self.cell(name, "distance_ratio")
            return found if isinstance(found, Estimate) and 0 < found.value < math.inf else None
        ours, theirs = self.cell(self.names[0], key), self.cell(name, key)
        above, below = number_of(ours), number_of(theirs)
        if not (0 < above < math.inf and 0 < below < math.inf):
            return None
        (lower, upper), (their_lower, their_upper) = _relative_errors(ours), _relative_errors(theirs)
        value = above / below
        return Estimate(
            value, value * math.exp(-math.hypot(lower, their_upper)), value * math.exp(math.hypot(upper, their_lower))
        )


def ratio_text(groups: Sequence[Measurement], name: str, key: str) -> str:
    """The geometric mean of the groups' ratios, the first row over `name`: `× 1.6 [1.5, 1.7]; 23 above, 1 below`."""
    ratios = [found.value for group in groups if (found := group.ratio(name, key)) is not None]
    if not ratios:
        return NONE
    above, below = sum(ratio > 1 for ratio in ratios), sum(ratio < 1 for ratio in ratios)
    return f"× {format_value(ratio_over_groups(ratios))}; {above} above, {below} below"


def difference_text(groups: Sequence[Measurement], name: str, key: str) -> str:
    """The mean of the groups' differences, the first row less `name`: `+0.06 [+0.01, +0.1]; 20 more, 2 less`."""
    pairs = [(number_of(group.cell(group.names[0], key)), number_of(group.cell(name, key))) for group in groups]
    found = [ours - theirs for ours, theirs in pairs if math.isfinite(ours - theirs)]
    if not found:
        return NONE
    value, low, high = (f"{number:+.3f}" for number in mean_over_groups(found))
    interval = f" [{low}, {high}]" if low != "+nan" else ""
    return f"{value}{interval}; {sum(one > 0 for one in found)} more, {sum(one < 0 for one in found)} less"


def _relative_errors(cell: Value) -> tuple[float, float]:
    """How far, in logarithms, the interval reaches below and above; NaN for an end that is 0, nothing or unknown."""
    if not isinstance(cell, Estimate):
        return math.nan, math.nan
    low = math.log(cell.value / cell.low) if cell.low > 0 else math.nan
    return low, math.log(cell.high / cell.value) if 0 < cell.high < math.inf else math.nan
