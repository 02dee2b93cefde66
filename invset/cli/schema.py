"""What a config may hold; `check.py` refuses what types cannot."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class ModelConfig:
    """A network or a generator: its name in the registry, and its builder's options."""

    name: str = MISSING
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class EncoderConfig:
    """`network`: auto, same, none, or a name of the registry."""

    network: str = "same"
    layer: str | None = "fc6"


@dataclass
class ScheduleConfig:
    """The paper's K, μ₀, α and inner steps; at most so many outer iterations."""

    K: int = 10
    mu: float = 10.0
    alpha: float = 10.0
    inner_steps: int = 100
    outer_iterations: int = 8
    stop: str = "feasible"


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

    network: ModelConfig = field(default_factory=ModelConfig)
    generator: ModelConfig = field(default_factory=ModelConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
    neuron: Any = MISSING
    range: Any = MISSING
    n: int = 500
    method: str = "paper"
    constraint: str = "range"
    position: str = "center"
    starts: str = "normal"
    folder: str | None = None
    pixels: str = "eight_bit"
    batch_size: int | None = None
    device: str = "auto"
    threads: int | None = None
    seed: int = 0
    resume: str | None = None


@dataclass
class ProbeConfig:
    """`invset probe`."""

    network: ModelConfig = field(default_factory=ModelConfig)
    generator: ModelConfig = field(default_factory=ModelConfig)
    code: CodeConfig = field(default_factory=CodeConfig)
    neuron: Any = MISSING
    position: str = "center"
    folder: str | None = None
    codes: int = 256
    chains: int = 10
    steps: int = 60
    device: str = "auto"
    threads: int | None = None
    seed: int = 0


SCHEMAS: dict[str, type] = {"sample": SampleConfig, "probe": ProbeConfig}


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
