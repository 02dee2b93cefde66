"""`invset probe`: what does a neuron's activation reach, and which ranges make sense?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from invset.cli.check import check_probe
from invset.cli.report import chosen_models, no_memory_left, say_smaller
from invset.cli.schema import ProbeConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from invset.cli.build import Models
    from invset.models.reader import Reader

BATCH = 64
SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)
SUGGESTED = 4  # ranges, one above the other
REACHABLE = 0.8  # of the way from usual activations to the highest that half of the ascents reach
NOT_REACHED = 3  # exit code: nothing to suggest


class Survey(NamedTuple):
    """One unit's activations: over random codes, real codes, a folder's images, and the tops of ascents; all (m,)."""

    random: Tensor
    real: Tensor | None
    folder: Tensor | None
    ascents: Tensor


def task(composed: DictConfig) -> int:
    """Probe each neuron and print what it reaches; returns the exit code.

    Raises:
        InvsetError: a setting or weights are wrong, or a network gave NaN.
    """
    config = cast(ProbeConfig, OmegaConf.to_object(composed))
    neurons = check_probe(config)

    from invset.cli import build
    from invset.models.reader import Reader

    console = Console()
    models = build.models(config, neurons)
    surveys = survey(config, models, Reader(models.network, models.units), partial(say_smaller, console))
    found = True
    for unit, one in zip(models.units, _with_memory(surveys), strict=True):
        ranges = suggested_ranges(one)
        _print(console, unit.describe(), one)
        if not ranges:
            console.print("no range to suggest: ascent does not get above usual activations.\n", highlight=False)
            found = False
            continue
        console.print("ranges to try, each a little rarer:", highlight=False)
        for low, high in ranges:
            command = f"invset sample neuron={unit} 'range=[{low:g},{high:g}]'{chosen_models()}"
            console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)
        console.print()
    return 0 if found else NOT_REACHED


def _with_memory(surveys: Iterator[Survey]) -> Iterator[Survey]:
    """The surveys; if memory runs out for good, an error in words."""
    from invset.core.memory import out_of_memory

    try:
        yield from surveys
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise no_memory_left() from error


def survey(
    config: ProbeConfig, models: Models, reader: Reader, on_smaller: Callable[[int], None] = lambda largest: None
) -> Iterator[Survey]:
    """The activations of each unit, in order; `on_smaller`: see `Batches`.

    Raises:
        InvsetError: the generator knows no random codes, or the folder holds no images.
        NonFiniteError: a network gave NaN or infinity.
    """
    import torch

    from invset.cli.build import code_bounds
    from invset.core import ascent, scales
    from invset.core.problem import Problem
    from invset.models.folder import ImageFolder
    from invset.models.starts import Starts

    generator, device = models.generator, models.device
    images = None if config.folder is None else ImageFolder(config.folder, models.network.input_shape[1:])
    problem = Problem(generator, reader, objective="codes", code_bounds=code_bounds(config.code, generator))
    problem.batches.on_smaller = on_smaller
    read = problem.batches.over(reader)
    count = max(config.codes, config.chains)
    where = config.folder if models.starts == "codes" else None
    starts = Starts(models.starts, config.seed, count, generator, models.inverse, where)  # type: ignore[arg-type]
    codes = torch.stack([starts.draw(chain) for chain in range(count)]).to(device)
    distance = scales.measure(problem, codes[:BATCH]).codes
    random = _over(problem, codes[: config.codes])
    statistics = generator.statistics
    real = _over(problem, statistics.bank.to(device)) if statistics is not None and len(statistics.bank) else None
    folder = None
    if images is not None:
        with torch.no_grad():
            folder = torch.cat([read(batch.images.to(device))[1].cpu() for batch in images.batches(BATCH)])
    for index in range(len(models.units)):
        reached = ascent.ascend(problem, codes[: config.chains], index, distance, config.steps).activations
        yield Survey(
            random[:, index],
            None if real is None else real[:, index],
            None if folder is None else folder[:, index],
            reached.cpu(),
        )


def suggested_ranges(one: Survey) -> list[tuple[float, float]]:
    """Ranges side by side, of round numbers, from what real codes seldom exceed to what ascents can be relied on for.

    Reliable is what half of the ascents reach, less a margin; without the lowest and those level with it, which behind
    a ReLU that is off have stayed where they began. Empty if that is no more than usual.
    """
    usual = (one.random if one.real is None else one.real).quantile(SHARES[3])
    moved = one.ascents[one.ascents > one.ascents.min()] if len(one.ascents) > 1 else one.ascents
    if not len(moved):
        moved = one.ascents
    low, high = float(usual), float(moved.median())
    high = low + REACHABLE * (high - low)
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return []
    step = _round_down((high - low) / SUGGESTED)
    first = math.ceil(low / step) * step
    edges = [first + step * index for index in range(SUGGESTED + 1)]
    edges = [edge for edge in edges if edge <= high] or [first]
    return [(float(f"{a:.6g}"), float(f"{b:.6g}")) for a, b in pairwise(edges)]


def _over(problem: object, codes: torch.Tensor) -> torch.Tensor:
    from torch import cat

    return cat([problem.evaluate(batch).activations for batch in codes.split(BATCH)]).cpu()  # type: ignore[attr-defined]


def _round_down(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is no more than `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _print(console: Console, title: str, one: Survey) -> None:
    console.print(title, style="bold", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("activation over", "lowest", "5%", "half", "95%", "highest"):
        table.add_column(heading, justify="left" if heading == "activation over" else "right")
    rows = {
        f"{len(one.random)} random codes": one.random,
        "real codes": one.real,
        "the folder's images": one.folder,
        f"{len(one.ascents)} ascents": one.ascents,
    }
    for name, values in rows.items():
        if values is not None:
            name = f"{len(values)} {name}" if not name[0].isdigit() else name
            table.add_row(name, *(f"{float(values.quantile(share)):.4g}" for share in SHARES))
    console.print(table)
