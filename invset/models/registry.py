"""Networks and generators by name."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from invset.errors import ConfigError
from invset.models.network import Generator, Network
from invset.names import hint
from invset.weights.fetch import fetch
from invset.weights.known import Weights

T = TypeVar("T")
IN_MEMORY = "in_memory"  # the kind of a module that was given to invset.sample
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


def _collect(name: str) -> dict[str, Callable[..., Any]]:
    """The builders that modules of this package offer by that name, by kind: a new kind is a module, and a config."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if f"invset.models.{module.name}" != __name__:
            found |= getattr(import_module(f"invset.models.{module.name}"), name, {})
    return found


NETWORKS: Mapping[str, Callable[..., Network]] = _collect("NETWORKS")
GENERATORS: Mapping[str, Callable[..., Generator]] = _collect("GENERATORS")


def takes_option(kind: str, option: str) -> bool:
    """Whether the builder of a kind of network has such an option."""
    return option in inspect.signature(NETWORKS[kind]).parameters


def _build(what: str, builders: Mapping[str, Callable[..., T]], kind: str, find: Find, options: Mapping[str, Any]) -> T:
    if kind == IN_MEMORY:
        raise ConfigError(
            f"this run's {what} was a module in Python's memory ({options.get('module')}), which no command can build "
            f"again: sample from Python again, or let a function return it, for {what}=custom."
        )
    if kind not in builders:
        raise ConfigError(f"there is no {what} '{kind}': {hint(kind, builders)}")
    known = [name for name in inspect.signature(builders[kind]).parameters if name != "find"]
    given = {name: value for name, value in options.items() if value is not None}
    for option in given:
        if option not in known:
            raise ConfigError(f"{what} {kind} has no option '{option}': it has {', '.join(known)}.")
    finding = {"find": find} if "find" in inspect.signature(builders[kind]).parameters else {}
    try:
        return builders[kind](**given, **finding)
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # of a value that no check foresaw
        values = ", ".join(f"{option}={value!r}" for option, value in given.items()) or "no options"
        raise ConfigError(f"{what} {kind} cannot be built with {values}: {error}") from error
