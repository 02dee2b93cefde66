"""What a unit's activation reaches, and ranges that make sense: over codes, images, and the tops of ascents."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from invset.assemble.models import Models
from invset.assemble.sampling import code_bounds
from invset.core import ascent, scales
from invset.core.problem import Pipeline, Problem
from invset.errors import OutOfMemoryError
from invset.models.folder import ImageFolder
from invset.models.reader import Reader
from invset.models.starts import Starts
from invset.passes.micro_batches import MicroBatches, out_of_memory
from invset.passes.plain import Plain
from invset.settings import ProbeSettings

BATCH = 64
USUAL = 0.95  # the quantile of activations over real codes from where ranges are suggested
SUGGESTED = 4  # ranges, one above the other
REACHABLE = 0.8  # of the way from usual activations to the highest that half of the ascents reach


class Survey(NamedTuple):
    """One unit's activations: over random codes, real codes, a folder's images, and the tops of ascents; all (m,)."""

    random: Tensor
    real: Tensor | None
    folder: Tensor | None
    ascents: Tensor

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """Ranges side by side, of round numbers, from what real codes seldom exceed to what ascents reach reliably.

        Reliable is what half of the ascents reach, less a margin; without the lowest and those level with it, which
        behind a ReLU that is off have stayed where they began. Empty if that is no more than usual.
        """
        usual = (self.random if self.real is None else self.real).quantile(USUAL)
        moved = self.ascents[self.ascents > self.ascents.min()] if len(self.ascents) > 1 else self.ascents
        if not len(moved):
            moved = self.ascents
        low, high = float(usual), float(moved.median())
        high = low + REACHABLE * (high - low)
        if not (math.isfinite(low) and math.isfinite(high) and high > low):
            return []
        step = _round_down((high - low) / SUGGESTED)
        first = math.ceil(low / step) * step
        edges = [first + step * index for index in range(SUGGESTED + 1)]
        edges = [edge for edge in edges if edge <= high] or [first]
        return [(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in pairwise(edges)]


def survey(
    settings: ProbeSettings, models: Models, on_smaller: Callable[[int], None] = lambda largest: None
) -> Iterator[Survey]:
    """The activations of each unit, in order; `on_smaller` is given what goes through at once when memory runs out.

    Raises:
        InvsetError: the generator knows no random codes, the folder holds no images, or memory does not suffice.
        NonFiniteError: a network gave NaN or infinity.
    """
    try:
        yield from _survey(settings, models, on_smaller)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError("out of memory, and halving batches did not help: try device=cpu.") from error


def _survey(settings: ProbeSettings, models: Models, on_smaller: Callable[[int], None]) -> Iterator[Survey]:
    generator, device = models.generator, models.device
    reader = Reader(models.network, models.units)
    images = None if settings.folder is None else ImageFolder(settings.folder, models.network.input_shape[1:])
    passes = MicroBatches(Plain(Pipeline(generator, reader, objective="codes")))
    passes.batches.on_smaller = on_smaller
    problem = Problem(passes, code_bounds(settings.code.bounds, generator))
    read = passes.batches.over(reader)
    count = max(settings.codes, settings.chains)
    where = settings.folder if models.starts == "codes" else None
    starts = Starts(models.starts, settings.seed, count, generator, models.inverse, where)  # type: ignore[arg-type]
    codes = torch.stack([starts.draw(chain) for chain in range(count)]).to(device)
    distance = scales.measure(problem, codes[:BATCH]).codes
    random = _over(problem, codes[: settings.codes])
    statistics = generator.statistics
    real = _over(problem, statistics.bank.to(device)) if statistics is not None and len(statistics.bank) else None
    folder = None
    if images is not None:
        with torch.no_grad():
            folder = torch.cat([read(batch.to(device))[1].cpu() for batch in images.batches(BATCH)])
    for index in range(len(models.units)):
        reached = ascent.ascend(problem, codes[: settings.chains], index, distance, settings.steps).activations
        yield Survey(
            random[:, index],
            None if real is None else real[:, index],
            None if folder is None else folder[:, index],
            reached.cpu(),
        )


def _over(problem: Problem, codes: Tensor) -> Tensor:
    return torch.cat([problem.evaluate(batch).activations for batch in codes.split(BATCH)]).cpu()


def _round_down(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is no more than `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))
