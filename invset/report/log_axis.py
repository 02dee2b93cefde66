"""A logarithmic axis for ratios: where a number stands, how far the axis goes, and which numbers are written on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from invset.metrics.estimate import Estimate

FURTHEST = 3.0  # how many times past the outermost ratio an interval is shown
NARROWEST = 1.25  # the high end over the low one, at least
BEYOND = 1e-100, 1e100  # ratios outside are shown as past the axis
FEWEST = 4  # numbers on the axis, about


class Scale(NamedTuple):
    """From `low` at the column `left` to `high` at `left` + `width`, 0 < low < high."""

    low: float
    high: float
    left: int
    width: int

    def x(self, value: float) -> int:
        """The column of a number; of one that is not on the axis, 0 and infinity too, its nearer end."""
        inside = min(max(value, self.low), self.high)
        return self.left + round(math.log(inside / self.low) / math.log(self.high / self.low) * self.width)

    def shows(self, value: float) -> bool:
        """Whether the number is on the axis."""
        return self.low <= value <= self.high


def limits(estimates: Sequence[Estimate], others: Sequence[float]) -> tuple[float, float]:
    """The axis' ends: all ratios and the other numbers are on it, and intervals but where they go much further."""
    values = _positive([*(estimate.value for estimate in estimates), *others])
    low, high = min(values) / FURTHEST, max(values) * FURTHEST
    ends = _positive([end for estimate in estimates for end in estimate[1:]])
    low, high = (max(low, min(values + ends)), min(high, max(values + ends)))
    room = max(1.0, NARROWEST / (high / low)) ** 0.5 * (high / low) ** 0.03
    return low / room, high * room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, 0 < low < high: 4 or more of the roundest."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = -(-(last - first) // 8)  # so many powers of ten from one to the next
    powers = [float(f"1e{power}") for power in range(first, last + 1) if power % every == 0]
    for digits in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        found = [digit * power for power in powers for digit in digits if low <= digit * power <= high]
        if len(found) >= FEWEST:
            return found
    power = 10.0 ** math.floor(math.log10(high - low))
    for step in (digit * power for digit in (1, 0.5, 0.2, 0.1, 0.05)):
        found = [count * step for count in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(found) >= FEWEST:
            break
    return found


def _positive(numbers: Sequence[float]) -> list[float]:
    return [number for number in numbers if BEYOND[0] < number < BEYOND[1]]
