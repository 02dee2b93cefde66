"""What a config may hold; `check.py` refuses what types cannot."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class NetworkConfig:
    """A network: its kind in the registry, what there is of that kind, its weights, and the builder's own options."""

    kind: str = MISSING
    name: str | None = None
    factory: str | None = None
    weights: str | None = None
    labels: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class GeneratorConfig:
    """A generator: its kind in the registry, its weights, and the builder's own options."""

    kind: str = MISSING
    factory: str | None = None
    weights: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class EncoderConfig:
    """`network`: auto, same, own, none, or a kind of the registry, which the rest then describes."""

    network: str = "same"
    layer: str | None = "fc6"
    name: str | None = None
    factory: str | None = None
    weights: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class MethodConfig:
    """How samples are drawn: the method's name, and its own settings."""

    name: str = "paper"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScheduleConfig:
    """The paper's K, μ₀, α and inner steps; at most so many outer iterations; how many groups of K at once."""

    K: int = 10
    mu: float = 10.0
    alpha: float = 10.0
    inner_steps: int = 100
    outer_iterations: int = 8
    stop: str = "feasible"
    groups: int = 1


@dataclass
class ObjectiveConfig:
    """Where distances are measured, and their weight."""

    between: str = "encodings"
    scale: Any = "auto"


@dataclass
class CodeConfig:
    """Bounds on the entries of a code."""

    bounds: Any = "auto"


@dataclass
class SampleConfig:
    """`invset sample`."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
    neuron: Any = MISSING
    range: Any = MISSING
    n: int = 500
    until: str = "n"
    gain: float = 0.05
    method: MethodConfig = field(default_factory=MethodConfig)
    constraint: str = "range"
    fill: str = "any"
    position: str = "center"
    starts: str = "auto"
    folder: str | None = None
    pixels: str = "eight_bit"
    batch_size: Any = "auto"
    device: str = "auto"
    precision: str = "float32"
    channels_last: bool | None = None
    compile: str | None = None
    threads: int | None = None
    seed: int = 0
    resume: str | None = None


@dataclass
class ProbeConfig:
    """`invset probe`."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
    neuron: Any = MISSING
    position: str = "center"
    starts: str = "auto"
    folder: str | None = None
    codes: int = 256
    chains: int = 10
    steps: int = 60
    device: str = "auto"
    precision: str = "float32"
    channels_last: bool | None = None
    threads: int | None = None
    seed: int = 0


@dataclass
class UnitsConfig:
    """`invset units`."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    find: Any = None
    threads: int | None = None


SCHEMAS: dict[str, type] = {"sample": SampleConfig, "probe": ProbeConfig, "units": UnitsConfig}


def register() -> None:
    """Make the schemas known to Hydra."""
    store = ConfigStore.instance()
    for command, schema in SCHEMAS.items():
        store.store(name=f"{command}_schema", node=schema)


def keys(schema: type, prefix: str = "") -> list[str]:
    """All keys of a schema, dotted."""
    found = []
    for entry in fields(schema):
        found.append(f"{prefix}{entry.name}")
        factory = entry.default_factory
        if isinstance(factory, type) and hasattr(factory, "__dataclass_fields__"):
            found += keys(factory, f"{prefix}{entry.name}.")
    return found
