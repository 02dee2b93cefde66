"""From a checked config to models, problem and method: arguments in, objects out, nothing run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from invset.cli.check import Targets
from invset.cli.device import batch_size, place, prepare_torch
from invset.cli.encoder import Networks, built_encoder, given, inverse_encoder, settled_encoder
from invset.cli.fetching import fetch_for_run
from invset.cli.methods import Parts, build_method
from invset.cli.schema import CodeConfig, EncoderConfig, ProbeConfig, SampleConfig
from invset.cli.usual_starts import FROM_IMAGES, usual_starts
from invset.core.full import BATCH
from invset.core.fused import Fused
from invset.core.problem import Problem
from invset.core.ranks import Ranks, SharedProblem
from invset.core.region import Region
from invset.core.scales import measure
from invset.core.seeding import Schedule
from invset.core.state import Method, State
from invset.errors import ConfigError
from invset.models.network import Generator, Network
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator
from invset.models.starts import Starts
from invset.models.unit import Unit, parse_unit

REFERENCES = 64  # unrelated codes on which distances are measured


@dataclass(frozen=True)
class Models:
    """What a command works with, on one device; and what encoder=auto and starts=auto turned out to be.

    `encoder`: in which distances are taken. `inverse`: which makes codes of images, where starts need it.
    """

    network: Network
    generator: Generator
    units: tuple[Unit, ...]
    encoder: Encoder | None
    inverse: Encoder | None
    device: torch.device
    settled: EncoderConfig
    starts: str


@dataclass(frozen=True)
class Sampling:
    """All that `invset sample` runs.

    `chains`: of all groups together. `has_seeds`: a group's are to be in range all at once before there is a sample.
    """

    models: Models
    reader: Reader
    region: Region
    problem: Problem
    method: Method
    schedule: Schedule
    references: Tensor
    chains: int
    has_seeds: bool

    def unrelated_distance(self, state: State) -> float:
        """The median distance between encodings of unrelated codes, whatever the objective compares."""
        if self.problem.objective in ("encodings", "none"):
            return state.distances.encodings
        plain = Problem(self.models.generator, self.reader, eight_bit=self.problem.eight_bit)
        return measure(plain, self.references, self.schedule.batch_size).encodings


def models(config: SampleConfig | ProbeConfig, neurons: tuple[str, ...]) -> Models:
    """Network, generator and units.

    Raises:
        ConfigError: a name, an option, a unit or the device does not exist.
        WeightsError: a file of weights cannot be used.
    """
    device = prepare_torch(config.device, config.threads, config.precision)
    placed = partial(place, device=device, precision=config.precision, channels_last=config.channels_last)
    networks = Networks(placed)
    network = networks.get(config.network.kind, config.network)
    units = tuple(parse_unit(text, network, config.position) for text in neurons)  # type: ignore[arg-type]
    if len({(unit.layer, unit.index, unit.position) for unit in units}) < len(units):
        raise ConfigError(f"neuron={list(neurons)}: names of the same unit; give each once.")
    generator = build_generator(config.generator.kind, find=fetch_for_run, **given(config.generator))
    placed(generator)
    settled = settled_encoder(config.encoder, config.network, network, generator)
    encoder = inverse = built_encoder(settled, network, networks)
    starts = config.starts
    if starts == "auto":
        starts = usual_starts(config, generator)
    encodes = starts == "random_images" or (starts == "common" and generator.statistics is None)
    if encodes or (starts in FROM_IMAGES and config.folder):
        inverse = inverse_encoder(encoder, settled, config.network, network, generator, networks)
    return Models(network, generator, units, encoder, inverse, device, settled, starts)


def sampling(config: SampleConfig, targets: Targets, ranks: Ranks | None = None) -> Sampling:
    """Models, problem and method for a config that `check_sample` let through; `ranks`: processes to share the work.

    Raises:
        ConfigError: settings do not fit each other or the models.
        WeightsError: a file of weights cannot be used.
    """
    built = models(config, targets.neurons)
    reader = Reader(built.network, built.units, built.encoder)
    region_of = Region.two_sided if config.constraint == "range" else Region.lower_only

    schedule = Schedule(
        chains=config.n if config.method.name == "full" else config.schedule.K,
        penalty=config.schedule.mu,
        growth=config.schedule.alpha,
        inner_steps=config.schedule.inner_steps,
        outer_iterations=config.schedule.outer_iterations,
        stop=config.schedule.stop,  # type: ignore[arg-type]
        objective_scale=None if config.objective.scale == "auto" else float(config.objective.scale),
        batch_size=batch_size(config.batch_size, config.method.name, built.device),
    )
    at_once = _at_once(config, schedule, ranks)

    def problem_of(read: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Problem:
        problem = Problem(
            built.generator,
            read,
            objective=config.objective.between,  # type: ignore[arg-type]
            eight_bit=config.pixels == "eight_bit",
            code_bounds=code_bounds(config.code, built.generator),
        )
        if config.compile is not None:
            problem.networks = Fused(problem.networks, config.compile, at_once)  # type: ignore[arg-type]
        return problem if ranks is None else SharedProblem(problem, ranks, apart=config.method.name == "full")

    problem = problem_of(reader)
    starts = Starts(
        built.starts,  # type: ignore[arg-type]
        config.seed,
        schedule.chains * config.schedule.groups,
        built.generator,
        built.inverse,
        config.folder,
    )
    region = region_of(targets.ranges).to(built.device)

    def draw(chain: int, attempt: int) -> torch.Tensor:
        return problem.bound(starts.draw(chain, attempt).to(built.device))

    references = starts.reference_codes(REFERENCES).to(built.device)
    parts = Parts(config, built.generator, reader, problem, problem_of, region, schedule, starts, draw, references)
    method, problem = build_method(parts)
    has_seeds = config.method.name != "multistart"
    return Sampling(built, reader, region, problem, method, schedule, references, starts.chains, has_seeds)


def _at_once(config: SampleConfig, schedule: Schedule, ranks: Ranks | None) -> int:
    """How many codes a step's passes are of, in this process."""
    codes = schedule.chains * config.schedule.groups
    if config.method.name == "full":  # micro-batches are shared
        codes = min(codes, schedule.batch_size or BATCH)
    mine = codes if ranks is None else len(ranks.rows(torch.arange(codes)))
    return min(mine, schedule.batch_size or mine)


def code_bounds(config: CodeConfig, generator: Generator) -> tuple[float, float] | None:
    """The bounds on codes that the config asks for."""
    bounds: Any = config.bounds
    if bounds == "auto":
        return generator.code_bounds
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))
