"""Networks and generators by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from invset.errors import ConfigError
from invset.files import user_path
from invset.models import mini
from invset.models.caffenet import caffenet_network, places205_network
from invset.models.custom import custom_generator, custom_network
from invset.models.deepsim import deepsim_generator, ppgn_generator
from invset.models.efficientnet import BUILDERS as EFFICIENTNETS
from invset.models.labels import labels_for
from invset.models.linear import linear_network
from invset.models.names import hint
from invset.models.network import Generator, Network
from invset.models.pixels import pixel_generator
from invset.models.random_weights import refuse_random
from invset.models.timm import timm_network
from invset.models.torchvision import torchvision_network
from invset.weights.fetch import fetch
from invset.weights.known import Weights

T = TypeVar("T")
TOP = ("name", "factory", "weights", "labels")  # settings that are no options
SIMPLE: Mapping[str, tuple[Any, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "a name"),
    "str | Path": (str | Path, "a file, by its path"),
}
"""How a builder's parameters are annotated -> what they take, and its name."""
Find = Callable[[Weights], Path]
"""Where a known file of weights is; fetches it if need be."""


def build_network(kind: str, *, find: Find = fetch, **options: Any) -> Network:
    """The network of that kind; the options are those of its builder below.

    Args:
        kind: a key of NETWORKS.
        find: used for weights that have to be fetched.
        options: of the builder; those that are None count as not given.

    Raises:
        ConfigError: there is no such network or option.
        WeightsError: a file of weights cannot be used, or not be had.
    """
    return _build("network", NETWORKS, kind, find, options)


def build_generator(kind: str, *, find: Find = fetch, **options: Any) -> Generator:
    """The generator of that kind, a key of GENERATORS; the rest as for `build_network`.

    Raises:
        ConfigError: there is no such generator or option.
        WeightsError: a file of weights cannot be used, or not be had.
    """
    return _build("generator", GENERATORS, kind, find, options)


def mini_network(weights: str | Path | None = None, labels: str | Path | None = None) -> Network:
    """The built-in network, or one trained like it: for 64x64 images, or what its file says.

    Args:
        weights: its file; None for the shipped ones.
        labels: a file of fc8's names (see `labels.class_names`); None for ImageNet's, if fc8 has 1000 units.
    """
    refuse_random("mini", weights)
    file = _file(weights, "network")
    module = mini.load_network(file)
    size = module.dimensions.size
    layers = {name: name for name, _ in module.named_children()}
    named = labels_for({"fc8": module.fc8.out_features}, labels)
    return Network("mini", module, layers, (3, size, size), named, (file,))


def mini_generator(weights: str | Path | None = None) -> Generator:
    """The built-in generator, which inverts fc6 of the built-in network; None for the shipped weights.

    Its bounds, [0, the largest entry of a real code], are an offer: codes need not keep to them.
    """
    refuse_random("mini", weights)
    file = _file(weights, "generator")
    statistics = mini.load_code_statistics(file)
    bounds = (0.0, float(statistics.bank.max())) if len(statistics.bank) else None
    module = mini.load_generator(file)
    code, shape = module.dimensions.code, (3, module.dimensions.size, module.dimensions.size)
    return Generator("mini", module, code, shape, statistics, bounds, (file,), inverts=("mini", "fc6"))


NETWORKS: Mapping[str, Callable[..., Network]] = {
    "mini": mini_network,
    "caffenet": caffenet_network,
    "places205": places205_network,
    "torchvision": torchvision_network,
    "timm": timm_network,
    **EFFICIENTNETS,
    "custom": custom_network,
    "linear": linear_network,
}
GENERATORS: Mapping[str, Callable[..., Generator]] = {
    "mini": mini_generator,
    "ppgn": ppgn_generator,
    "deepsim": deepsim_generator,
    "pixels": pixel_generator,
    "custom": custom_generator,
}


def _file(path: str | Path | None, name: str) -> Path:
    return mini.DATA / f"{name}.safetensors" if path is None else user_path(path)


def _build(what: str, builders: Mapping[str, Callable[..., T]], kind: str, find: Find, options: Mapping[str, Any]) -> T:
    if kind not in builders:
        raise ConfigError(f"there is no {what} '{kind}': {hint(kind, builders)}")
    parameters = inspect.signature(builders[kind]).parameters
    known = list(parameters)
    given = {name: value for name, value in options.items() if value is not None}
    for option in given:
        if option not in known or option == "find":
            has = ", ".join(name for name in known if name != "find")
            raise ConfigError(f"{what} {kind} has no option '{option}': it has {has}.")
        _require_type(what, option, given[option], parameters[option].annotation)
    try:
        return builders[kind](**given, **({"find": find} if "find" in known else {}))
    except (TypeError, ValueError, OverflowError) as error:  # of a value that no check foresaw
        told = ", ".join(f"{_setting(what, option)}={value}" for option, value in given.items()) or "no options"
        raise ConfigError(f"{what} {kind} cannot be built with {told}: {error}") from error


def _require_type(what: str, option: str, value: object, annotation: str) -> None:
    """Raises ConfigError for a text where the builder takes a number, and the like; lists are its own to check."""
    types, wanted = SIMPLE.get(str(annotation).removesuffix(" | None"), (object, ""))
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool and types is not object):
        raise ConfigError(f"{_setting(what, option)}={value!r}: give {wanted}.")


def _setting(what: str, option: str) -> str:
    """What the command line calls it."""
    return f"{what}.{option}" if option in TOP else f"{what}.options.{option}"
