"""A measured number and the interval about it."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A measure and its interval, all in the measure's units.

    Attributes:
        value: the measure of the samples themselves; NaN where it has none.
        low: the lower end of the interval; NaN where there are too few samples for one.
        high: the upper end; NaN where `low` is.
    """

    value: float
    low: float
    high: float
