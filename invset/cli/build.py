"""From a checked config to models, problem and method: arguments in, objects out, nothing run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch

from invset.cli.check import Targets
from invset.cli.schema import CodeConfig, EncoderConfig, ModelConfig, ProbeConfig, SampleConfig
from invset.core.full import Full
from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.core.state import Method
from invset.errors import ConfigError
from invset.models.network import Generator, Network
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator, build_network
from invset.models.starts import Starts
from invset.models.unit import Unit, parse_unit

METHODS: dict[str, type[Paper] | type[Full]] = {"paper": Paper, "full": Full}
REFERENCES = 64  # unrelated codes on which distances are measured


@dataclass(frozen=True)
class Models:
    """What a command works with, on one device."""

    network: Network
    generator: Generator
    units: tuple[Unit, ...]
    device: torch.device


@dataclass(frozen=True)
class Sampling:
    """All that `invset sample` runs."""

    models: Models
    reader: Reader
    region: Region
    problem: Problem
    method: Method
    schedule: Schedule


def models(config: SampleConfig | ProbeConfig, neurons: tuple[str, ...]) -> Models:
    """Network, generator and units.

    Raises:
        ConfigError: a name, an option, a unit or the device does not exist.
        WeightsError: a file of weights cannot be used.
    """
    device = prepare_torch(config.device, config.threads)
    network = build_network(config.network.name, **config.network.options)
    units = tuple(parse_unit(text, network, config.position) for text in neurons)  # type: ignore[arg-type]
    if len({(unit.layer, unit.index, unit.position) for unit in units}) < len(units):
        raise ConfigError(f"neuron={list(neurons)}: names of the same unit; give each once.")
    generator = build_generator(config.generator.name, **config.generator.options)
    network.module.to(device)
    generator.module.to(device)
    return Models(network, generator, units, device)


def sampling(config: SampleConfig, targets: Targets) -> Sampling:
    """Models, problem and method for a config that `check_sample` let through.

    Raises:
        ConfigError: settings do not fit each other or the models.
        WeightsError: a file of weights cannot be used.
    """
    built = models(config, targets.neurons)
    encoder = _encoder(settled_encoder(config.encoder, built.network), config.network, built.network)
    reader = Reader(built.network, built.units, encoder)
    region_of = Region.two_sided if config.constraint == "range" else Region.lower_only
    problem = Problem(
        built.generator.module,
        reader,
        objective=config.objective.between,  # type: ignore[arg-type]
        eight_bit=config.pixels == "eight_bit",
        code_bounds=code_bounds(config.code, built.generator),
    )
    schedule = Schedule(
        chains=config.n if config.method == "full" else config.schedule.K,
        penalty=config.schedule.mu,
        growth=config.schedule.alpha,
        inner_steps=config.schedule.inner_steps,
        outer_iterations=config.schedule.outer_iterations,
        stop=config.schedule.stop,  # type: ignore[arg-type]
        objective_scale=None if config.objective.scale == "auto" else float(config.objective.scale),
        batch_size=config.batch_size,
    )
    starts = Starts(
        config.starts,  # type: ignore[arg-type]
        config.seed,
        schedule.chains,
        built.generator,
        encoder,
        config.folder,
    )
    region = region_of(targets.ranges).to(built.device)

    def draw(chain: int, attempt: int) -> torch.Tensor:
        return problem.bound(starts.draw(chain, attempt).to(built.device))

    references = starts.reference_codes(REFERENCES).to(built.device)
    method = METHODS[config.method](problem, region, schedule, draw, references)
    return Sampling(built, reader, region, problem, method, schedule)


def code_bounds(config: CodeConfig, generator: Generator) -> tuple[float, float] | None:
    """The bounds on codes that the config asks for."""
    bounds: Any = config.bounds
    if bounds == "auto":
        return generator.code_bounds
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def settled_encoder(config: EncoderConfig, network: Network) -> EncoderConfig:
    """`auto` as what it stands for: the network under study if it has such a layer, else the built-in network."""
    if config.network != "auto":
        return config
    return replace(config, network="same" if config.layer is None or config.layer in network.layers else "mini")


def prepare_torch(device: str, threads: int | None) -> torch.device:
    """Set torch to give the same bits each time, and find the device.

    Raises:
        ConfigError: there is no such device here.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is only deterministic with it
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device={device}: not to be had here ({reason}). Use device=cpu.") from error
    return found


def _encoder(config: EncoderConfig, network_config: ModelConfig, network: Network) -> Encoder | None:
    if config.network == "none":
        return None
    if config.layer is None:
        raise ConfigError(f"encoder.network={config.network} needs a layer: give encoder.layer, as fc6.")
    if config.network == "same" or (config.network == network_config.name and not network_config.options):
        return Encoder(network, config.layer)
    other = build_network(config.network)
    other.module.to(network.device)
    return Encoder(other, config.layer)
