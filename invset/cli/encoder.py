"""Which network is built for what: the one under study, the encoder's, and the one that start codes are of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from invset.cli.check import near_names
from invset.cli.fetching import fetch_for_run
from invset.cli.schema import EncoderConfig, GeneratorConfig, NetworkConfig
from invset.errors import ConfigError, WeightsError
from invset.models.network import Generator, Network
from invset.models.reader import Encoder
from invset.models.registry import NETWORKS, build_network

WORDS = ("auto", "same", "own", "none")  # for encoder.network, beside the kinds of networks
BUILT_IN = "mini"  # whose encodings compare images of a generator that inverts nothing


class Networks:
    """Networks by their settings, each built once and placed once.

    Args:
        place: puts a network where it is to compute.
    """

    def __init__(self, place: Callable[[Network], None]) -> None:
        self._place = place
        self._built: dict[tuple[str, ...], Network] = {}

    def get(self, kind: str, config: NetworkConfig | EncoderConfig) -> Network:
        """The network; the same object for the same settings, whatever its classes are called.

        Raises:
            ConfigError: there is no such network or option.
            WeightsError: its weights cannot be used, or not be had.
        """
        arguments = given(config)
        parameters = inspect.signature(NETWORKS[kind]).parameters if kind in NETWORKS else {}
        whole = {name: parameter.default for name, parameter in parameters.items()} | arguments
        key = (kind, *(f"{name}={whole[name]}" for name in sorted(whole) if name not in ("labels", "find")))
        if "name" in parameters and "name" not in arguments:
            raise ConfigError(f"{kind} has many networks: give the name of one, as network.name=resnet18.")
        if key not in self._built:
            network = build_network(kind, find=fetch_for_run, **arguments)
            self._place(network)
            self._built[key] = network
        return self._built[key]


def given(config: NetworkConfig | GeneratorConfig | EncoderConfig) -> dict[str, Any]:
    """A builder's arguments: the settings and options that are not null."""
    names = ("name", "factory", "weights", "labels")
    values = {name: getattr(config, name, None) for name in names} | config.options
    return {name: value for name, value in values.items() if value is not None}


def settled_encoder(
    config: EncoderConfig, network_config: NetworkConfig, network: Network, generator: Generator
) -> EncoderConfig:
    """`auto` and `own` as what they stand for: same, none, or a kind of network; and its layer.

    `own` is the network whose layer the generator inverts. `auto` is the network under study if it has a layer of that
    name, or the one asked for; else `own`; and for a generator that inverts nothing, as pixels, the built-in network.
    The layer is the one asked for, or else the one that the generator inverts.

    Raises:
        ConfigError: there is no such network; or it is `own`, of a generator that inverts nothing; or it is none that
            name, factory, weights or options could describe.
    """
    kind, inverts = config.network, generator.inverts
    if kind not in (*WORDS, *NETWORKS):
        raise ConfigError(f"encoder.network={kind}: {near_names(kind, (*WORDS, *NETWORKS))}")
    if kind == "own" and inverts is None:
        raise ConfigError(
            f"encoder=own: generator {generator.name} says of no network that it inverts it; give encoder.network and "
            "encoder.layer, or encoder=none."
        )
    if kind in WORDS and given(config):
        raise ConfigError(
            f"encoder.{next(iter(given(config)))} describes a network of its own: give its kind, as "
            "encoder.network=caffenet."
        )
    if kind == "none":
        return config
    asked, config = config.layer, replace(config, layer=config.layer or (inverts[1] if inverts else "fc6"))
    if kind == "auto":
        kind = "same" if asked or config.layer in network.layers else "own" if inverts else BUILT_IN
    if kind == "own" and inverts:
        kind = "same" if network_config.kind == inverts[0] else inverts[0]
    return replace(config, network=kind)


def built_encoder(settled: EncoderConfig, network: Network, networks: Networks) -> Encoder | None:
    """The encoder that a settled config describes; None: the images themselves."""
    if settled.network == "none" or settled.layer is None:
        return None
    other = network if settled.network == "same" else networks.get(settled.network, settled)
    return Encoder(other, settled.layer)


def inverse_encoder(
    encoder: Encoder | None,
    settled: EncoderConfig,
    network_config: NetworkConfig,
    network: Network,
    generator: Generator,
    networks: Networks,
) -> Encoder | None:
    """What makes codes of images: the layer that the generator inverts; the given encoder if it inverts nothing.

    Not any encoder that gives as many numbers: fc6 of AlexNet and of CaffeNet are both 4096.

    Raises:
        WeightsError: that network's weights cannot be used, or not be had.
    """
    if generator.inverts in (None, (settled.network, settled.layer)):
        return encoder
    own = settled_encoder(EncoderConfig("own", None), network_config, network, generator)
    try:
        return built_encoder(own, network, networks)
    except WeightsError as error:
        raise WeightsError(
            f"chains start at the encodings of random images (starts=random_images), which takes {own.layer} of "
            f"{own.network}, the network that generator {generator.name} was trained on. {error}"
        ) from error
