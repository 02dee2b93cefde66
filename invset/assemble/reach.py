"""What a unit reaches, and ranges there: what natural codes give, how high ascents come from the highest of them."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

USUAL = 0.95  # the quantile of activations over real codes from where ranges are suggested
SUGGESTED = 4  # ranges, one above the other
SAFE = 0.8  # of the way that chains came from their starts


def suggest_ranges(usual: Tensor, tops: Tensor) -> list[tuple[float, float]]:
    """Ranges side by side, of round numbers, from what usual activations (m,) seldom exceed to what ascents reach.

    That is what half of their tops (k,) exceed, those left out that never moved (a ReLU that is off). Empty if that is
    no more than usual.
    """
    moved = tops[tops > tops.min()]
    return divide(float(usual.quantile(USUAL)), float((moved if len(moved) else tops).median()))


def suggest_instead(first: float, closest: float) -> tuple[float, float] | None:
    """A range that chains which began at one activation and came to another pass through; None if they never moved."""
    if closest < first:
        mirrored = suggest_instead(-first, -closest)
        return None if mirrored is None else (-mirrored[1] or 0.0, -mirrored[0] or 0.0)
    found = divide(first, first + SAFE * (closest - first))
    return found[-1] if found else None


def divide(low: float, high: float) -> list[tuple[float, float]]:
    """Ranges of one width and round numbers, side by side between two activations; none if there is no room."""
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return []
    step = _round_down((high - low) / SUGGESTED)
    first = math.ceil(low / step) * step
    edges = [first + step * index for index in range(SUGGESTED + 1)]
    edges = [edge for edge in edges if edge <= high] or [first]
    return [(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in pairwise(edges)]


def _round_down(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is no more than `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))
