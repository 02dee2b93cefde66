"""Networks and generators by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from invset.errors import ConfigError
from invset.models import mini
from invset.models.efficientnet import BUILDERS as EFFICIENTNETS
from invset.models.linear import linear_network
from invset.models.names import hint
from invset.models.network import Generator, Network
from invset.models.pixels import pixel_generator

T = TypeVar("T")

MINI_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def build_network(name: str, **options: Any) -> Network:
    """The network of that name; the options are those of its builder below.

    Raises:
        ConfigError: there is no such network or option.
        WeightsError: a file of weights cannot be used.
    """
    return _build("network", NETWORKS, name, options)


def build_generator(name: str, **options: Any) -> Generator:
    """The generator of that name; the options are those of its builder below.

    Raises:
        ConfigError: there is no such generator or option.
        WeightsError: a file of weights cannot be used.
    """
    return _build("generator", GENERATORS, name, options)


def mini_network(path: str | Path | None = None, classes: str | Path | None = None) -> Network:
    """The built-in network, or one trained like it: for 64x64 images, or what its file says.

    Args:
        path: its weights; None for the shipped ones.
        classes: a file of fc8's names (see `mini.class_names`); None for ImageNet's, if fc8 has 1000 units.
    """
    module = mini.load_network(path)
    names = mini.class_names(classes)
    labels = {"fc8": names} if classes is not None or len(names) == module.fc8.out_features else {}
    return Network(
        "mini",
        module,
        {layer: layer for layer in MINI_LAYERS},
        (3, module.dimensions.size, module.dimensions.size),
        labels,
        (_file(path, "network"),),
    )


def mini_generator(path: str | Path | None = None) -> Generator:
    """The built-in generator, which inverts fc6 of the built-in network; None for the shipped weights.

    Its bounds, [0, the largest entry of a real code], are an offer: codes need not keep to them.
    """
    statistics = mini.load_code_statistics(path)
    bounds = (0.0, float(statistics.bank.max())) if len(statistics.bank) else None
    module = mini.load_generator(path)
    code, shape = module.dimensions.code, (3, module.dimensions.size, module.dimensions.size)
    return Generator("mini", module, code, shape, statistics, bounds, (_file(path, "generator"),))


NETWORKS: Mapping[str, Callable[..., Network]] = {
    "mini": mini_network,
    **EFFICIENTNETS,
    "linear": linear_network,
}
GENERATORS: Mapping[str, Callable[..., Generator]] = {"mini": mini_generator, "pixels": pixel_generator}


def _file(path: str | Path | None, kind: str) -> Path:
    return mini.DATA / f"{kind}.safetensors" if path is None else Path(path)


def _build(kind: str, builders: Mapping[str, Callable[..., T]], name: str, options: Mapping[str, Any]) -> T:
    if name not in builders:
        raise ConfigError(f"there is no {kind} '{name}': {hint(name, builders)}")
    known = list(inspect.signature(builders[name]).parameters)
    for option in options:
        if option not in known:
            raise ConfigError(f"{kind} {name} has no option '{option}': it has {', '.join(known)}.")
    return builders[name](**options)
