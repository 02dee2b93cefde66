"""What a unit reaches, and ranges there: what natural codes give, how high ascents come from the highest of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from invset.assemble.models import Models
from invset.core import ascent
from invset.core.problem import Pipeline, Problem, require_some
from invset.core.randomness import seeded_generator
from invset.errors import ConfigError
from invset.models.network import Generator
from invset.models.reader import Reader
from invset.models.unit import Unit
from invset.passes.micro_batches import Batches, MicroBatches
from invset.passes.plain import Plain

BATCH = 64  # codes evaluated at once
LOOKS, ASCENTS, STEPS = 256, 6, 25  # with which a run finds a range itself: codes, and gradient steps of each ascent
UNKNOWN = 30  # classes above the one asked for
USUAL = 0.95  # the quantile of activations over natural codes from where ranges are suggested
SUGGESTED = 4  # ranges, one above the other, about
SAFE = 0.8  # of the way that chains came from their starts


class Choice(NamedTuple):
    """Ranges that a run has found itself, and a line that says how they stand."""

    ranges: tuple[tuple[float, float], ...]
    line: str


def build_reading(
    generator: Generator, reader: Reader, bounds: tuple[float, float] | None, eight_bit: bool = True
) -> tuple[Problem, Batches]:
    """Codes to the activations that are read of their images, without encodings; and what is halved for memory."""
    passes = MicroBatches(Plain(Pipeline(generator, reader, objective="codes", eight_bit=eight_bit)))
    return Problem(passes, bounds), passes.batches


def evaluate(problem: Problem, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Those of codes (m, c) whose activations are finite, and these (m, p), on the CPU.

    Raises:
        NonFiniteError: there are none.
    """
    activations = torch.cat([problem.evaluate(batch).activations for batch in codes.split(BATCH)])
    finite = require_some(activations.isfinite().all(dim=1))
    return codes[finite], activations[finite].cpu()


def climb(
    problem: Problem, codes: Tensor, activations: Tensor, constraint: int, distance: float, ascents: int, steps: int
) -> ascent.Reach:
    """Ascend from the codes (m, c) whose activations (m, p) are highest: behind a ReLU that is off no step leads up."""
    highest = activations[:, constraint].argsort(stable=True)[-ascents:]
    return ascent.ascend(problem, codes[highest.to(codes.device)], constraint, distance, steps)


def choose_ranges(
    problem: Problem, codes: Tensor, kind: str, units: Sequence[Unit], distance: float, random_seed: int
) -> Choice:
    """For each unit a range that its ascents pass through, above what most codes (m, c) of a `kind` give.

    Of one unit the middle one of those that `suggest_ranges` has; of several the lowest, for they are to meet.

    Raises:
        ConfigError: no step leads a unit above that.
    """
    order = torch.randperm(len(codes), generator=seeded_generator(random_seed, "range"))
    codes, activations = evaluate(problem, codes[order[:LOOKS].to(codes.device)])
    ranges, words = [], []
    for constraint, unit in enumerate(units):
        usual = activations[:, constraint]
        tops = climb(problem, codes, activations, constraint, distance, ASCENTS, STEPS).activations.cpu()
        found = suggest_ranges(usual, tops)
        if not found:
            raise ConfigError(
                f"range=auto: no gradient step leads {unit.describe()} above {float(usual.max()):.4g}, the highest of "
                f"{len(usual)} codes: give a range, or another unit."
            )
        ranges.append(found[0] if len(units) > 1 else found[round((len(found) - 1) / 2)])
        words.append(
            f"{unit.describe()} reaches about {float(tops.median()):.3g}, and {round(100 * USUAL)} of 100 {kind} "
            f"stay below {float(usual.quantile(USUAL)):.3g}"
        )
    return Choice(tuple(ranges), f"range={write_ranges(ranges)}: {'; '.join(words)}")


def describe_unknown(models: Models, highest: Tensor) -> list[str]:
    """A line on each unit that stands for a class and has others above it at the codes that give most of it (h, p, c).

    Such images may have the activation and not the look. Of the built-in network goldfish, lion, volcano and tabby have
    up to 8 others above them at the eight of 1,500 natural codes that give most of them; zebra has 132 to 157.
    """
    lines = []
    for unit, codes in zip(models.units, highest.unbind(dim=1), strict=True):
        if not models.network.labels.get(unit.layer):
            continue
        with torch.no_grad():
            images = models.generator(codes.to(models.device))
            layer = unit.at(models.network.read([unit.layer], images)[unit.layer])
        above = int((layer > layer[:, unit.index, None]).sum(dim=1).median())
        if above >= UNKNOWN:
            lines.append(
                f"{unit.describe()} is hardly known here: in the natural images that give most of it, {above} other "
                "classes are above it, so samples may not look like it"
            )
    return lines


def write_ranges(ranges: Sequence[tuple[float, float]]) -> str:
    """Ranges as the command line takes them: `[40,50]`, or of several units `[[2,3],[40,50]]`."""
    texts = [f"[{low:g},{high:g}]" for low, high in ranges]
    return texts[0] if len(texts) == 1 else f"[{','.join(texts)}]"


def suggest_ranges(usual: Tensor, tops: Tensor) -> list[tuple[float, float]]:
    """Ranges side by side, of round numbers, from what usual activations (m,) seldom exceed to what ascents reach.

    That is what half of their tops (k,) exceed, without the lowest: a ReLU that is off. Empty if that is no more than
    usual.
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
    step = _round((high - low) / SUGGESTED)
    edges = [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in pairwise(edges)]


def _round(value: float) -> float:
    """The nearest of 1, 2 and 5 times a power of ten to `value` > 0, by their ratio."""
    power = 10.0 ** math.floor(math.log10(value))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / value)))
