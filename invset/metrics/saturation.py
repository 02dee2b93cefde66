"""How much of what a sampler finds it has found before: coverage, and whether it has stopped growing.

A sample is *new* if it is unlike all new ones before it: farther than a radius from each. No two new ones are within
the radius, and every sample is within it of a new one, so that their number is how large the sampled set is at that
scale (between its covering and its packing number). Single small steps away from a sample are not new, yet a chain of
them that leads far away is.

Coverage is the chance that the next sample is like one that was found: Good's (1953, Biometrika 40, 237-264) "total
probability of what has been seen", which he and Turing took from how often the last finds were the first of their
kind. Of independent samples, 1 − the share of new ones among the last is an unbiased estimate of its mean over them;
it only grows, so that now it is no less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from invset.metrics.distances import exact_distances
from invset.metrics.estimate import Estimate
from invset.metrics.share import share

ALIKE = 0.5  # of the distance between unrelated images: within it, two images are alike
WINDOW = 100  # the last samples, that coverage is of
LEAST = 200  # samples, before which there is no plateau: the window begins after as many as it holds
BATCH = 256  # encodings at once, so that memory does not grow as n²


class Novelty(NamedTuple):
    """What some samples were, in their order; `none` and then `extended` make it.

    Attributes:
        radius: within which two are alike, ≥ 0, in units of encoding.
        kept: (m, d) float32, the encodings of the new ones; (0, 0) of no samples.
        distances: of each sample, to the nearest new one before it, in units of encoding; infinite for the first.
        new: of each sample, whether it is new: its distance is above the radius.
    """

    radius: float
    kept: Tensor
    distances: tuple[float, ...]
    new: tuple[bool, ...]

    @classmethod
    def none(cls, radius: float) -> Novelty:
        """Of no samples."""
        return cls(radius, torch.empty(0, 0), (), ())

    def extended(self, encodings: Tensor) -> Novelty:
        """With the next samples, (b, d) encodings; the same in whatever portions they come. Time grows as b·m·d."""
        found = self
        for batch in encodings.detach().float().split(BATCH):
            found = found._with_batch(batch)
        return found

    def _with_batch(self, batch: Tensor) -> Novelty:
        kept = self.kept if len(self.kept) else batch[:0]
        distances, new, mine = [], [], batch[:0]
        before = _nearest(batch, kept)
        for row, distance in zip(batch, before, strict=True):
            distance = min(distance, *_nearest(row[None], mine))
            distances.append(distance)
            new.append(distance > self.radius)
            if new[-1]:
                mine = torch.cat([mine, row[None]])
        return Novelty(self.radius, torch.cat([kept, mine]), (*self.distances, *distances), (*self.new, *new))


def coverage(new: Sequence[bool], window: int = WINDOW) -> Estimate:
    """Of each sample whether it was new -> 1 − the share of new ones among the last `window`, with Wilson's interval.

    Of fewer samples, among all; NaN of none. The interval is for independent samples: those of one chain know less.
    """
    last = new[-window:]
    return share(len(last) - sum(last), len(last))


def plateaued(new: Sequence[bool], gain: float) -> bool:
    """Whether of `LEAST` samples or more fewer than the share `gain`, 0 to 1, of the last `WINDOW` were new."""
    return len(new) >= LEAST and sum(new[-WINDOW:]) / WINDOW < gain


def _nearest(points: Tensor, others: Tensor) -> list[float]:
    """(b, d), (m, d) -> the distance of each point to the nearest other; infinite if there is none.

    Pair by pair: no other pair of a batch changes a bit.
    """
    if not len(others):
        return [math.inf] * len(points)
    return exact_distances(points, others).min(dim=1).values.tolist()
