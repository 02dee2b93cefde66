"""invset samples the inverse set of a neuron: varied images whose activation of it lies in a range you choose.

    samples = invset.sample("fc8:volcano", (50, 60), n=50)
    samples.images, samples.activations, samples.grid
    invset.units(find="volcano"); invset.probe("fc8:volcano").ranges
    invset.load("outputs/DATE/TIME")

What a program needs is here by name; torch is imported when a name is first used. After
`import invset`, `import torchvision` also works beside a torch for CPUs alone.
"""

from importlib import import_module
from typing import Any

from invset.compat import prepare_for_torchvision

__version__ = "0.1.0"

prepare_for_torchvision()

_HOMES = {
    "Samples": "invset.api",
    "Survey": "invset.survey",
    "ConfigError": "invset.errors",
    "InvsetError": "invset.errors",
    "WeightsError": "invset.errors",
    "CodeStatistics": "invset.models.network",
    "Colours": "invset.models.colours",
    "Encoder": "invset.models.reader",
    "Full": "invset.core.full",
    "Fused": "invset.passes.fused",
    "Generator": "invset.models.network",
    "MicroBatches": "invset.passes.micro_batches",
    "Multistart": "invset.core.multistart",
    "Network": "invset.models.network",
    "Paper": "invset.core.paper",
    "Passes": "invset.core.problem",
    "Pipeline": "invset.core.problem",
    "Plain": "invset.passes.plain",
    "Problem": "invset.core.problem",
    "Reader": "invset.models.reader",
    "Region": "invset.core.region",
    "Schedule": "invset.core.seeding",
    "Source": "invset.weights.known",
    "Starts": "invset.models.starts",
    "Unit": "invset.models.unit",
    "Weights": "invset.weights.known",
    "build_generator": "invset.models.registry",
    "build_network": "invset.models.registry",
    "load": "invset.api",
    "parse_unit": "invset.models.unit",
    "probe": "invset.api",
    "sample": "invset.api",
    "units": "invset.api",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'invset' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
