"""Network, generator, units and encoder, from their settings: each network built once, however often it is named."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch

from invset.assemble.device import place, prepare_torch
from invset.assemble.methods import method_class
from invset.errors import ConfigError, WeightsError
from invset.models.network import Generator, Network
from invset.models.reader import Encoder
from invset.models.registry import NETWORKS, Find, build_generator, build_network, takes_option
from invset.models.unit import Unit, parse_unit
from invset.names import hint
from invset.settings import EncoderSettings, GeneratorSettings, ModelSettings, NetworkSettings, SampleSettings
from invset.weights.fetch import fetch

WORDS = ("auto", "same", "own", "none")  # for encoder.network, beside the kinds of networks
BUILT_IN = "mini"  # whose encodings compare images of a generator that inverts nothing
FROM_IMAGES = ("codes", "near", "mixed")  # starts that can be codes of a folder's images


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
    settled: EncoderSettings
    starts: str


class Given(NamedTuple):
    """Models that are there already; None: built from the settings."""

    network: Network | None = None
    generator: Generator | None = None


NONE_GIVEN = Given()


class Networks:
    """Networks by their settings, each built once and placed once.

    Args:
        place: puts a network where it is to compute.
        find: where published weights are.
    """

    def __init__(self, place: Callable[[Network], None], find: Find = fetch) -> None:
        self._place = place
        self._find = find
        self._built: dict[tuple[str, ...], Network] = {}

    def get(self, kind: str, settings: NetworkSettings | EncoderSettings) -> Network:
        """The network; the same object for the same settings, whatever its classes are called.

        Raises:
            ConfigError: there is no such network or option.
            WeightsError: its weights cannot be used, or not be had.
        """
        arguments = builder_arguments(settings)
        parameters = inspect.signature(NETWORKS[kind]).parameters if kind in NETWORKS else {}
        whole = {name: parameter.default for name, parameter in parameters.items()} | arguments
        key = (kind, *(f"{name}={whole[name]}" for name in sorted(whole) if name not in ("labels", "find")))
        if "name" in parameters and "name" not in arguments:
            raise ConfigError(f"{kind} has many networks: give the name of one, as network.name=resnet18.")
        if key not in self._built:
            network = build_network(kind, find=self._find, **arguments)
            self._place(network)
            self._built[key] = network
        return self._built[key]


def build_models(
    settings: ModelSettings, neurons: tuple[str, ...], find: Find = fetch, given: Given = NONE_GIVEN
) -> Models:
    """Network, generator and units; those that are given are placed like the others.

    Raises:
        ConfigError: a name, an option, a unit or the device does not exist.
        WeightsError: a file of weights cannot be used.
    """
    device = prepare_torch(settings.device, settings.threads, settings.precision)
    placed = partial(place, device=device, precision=settings.precision, channels_last=settings.channels_last)
    networks = Networks(placed, find)
    if given.network is None:
        network = networks.get(settings.network.kind, settings.network)
    else:
        placed(network := given.network)
    units = tuple(parse_unit(text, network, settings.position) for text in neurons)  # type: ignore[arg-type]
    if len({(unit.layer, unit.index, unit.position) for unit in units}) < len(units):
        raise ConfigError(f"neuron={list(neurons)}: names of the same unit; give each once.")
    generator = given.generator
    if generator is None:
        generator = build_generator(settings.generator.kind, find=find, **builder_arguments(settings.generator))
    placed(generator)
    settled = settle_encoder(settings.encoder, settings.network, network, generator)
    encoder = inverse = build_encoder(settled, network, networks)
    starts = usual_starts(settings, generator) if settings.starts == "auto" else settings.starts
    encodes = starts == "random_images" or (starts == "common" and generator.statistics is None)
    if encodes or (starts in FROM_IMAGES and settings.folder):
        inverse = build_inverse(encoder, settled, settings.network, network, generator, networks)
    return Models(network, generator, units, encoder, inverse, device, settled, starts)


def build_to_list(settings: NetworkSettings, find: Find = fetch) -> Network:
    """The network, to list its layers: without published weights where it can do without.

    Raises:
        ConfigError: there is no such network or option.
        WeightsError: its weights cannot be used, or not be had.
    """
    options = builder_arguments(settings)
    # A network with classes that can have random weights: its layers are the same without the published ones.
    if settings.kind in NETWORKS and all(takes_option(settings.kind, name) for name in ("labels", "random_seed")):
        options.setdefault("weights", "random")
    return build_network(settings.kind, find=find, **options)


def builder_arguments(settings: NetworkSettings | GeneratorSettings | EncoderSettings) -> dict[str, Any]:
    """A builder's arguments: the settings and options that are not null."""
    names = ("name", "factory", "weights", "labels")
    values = {name: getattr(settings, name, None) for name in names} | settings.options
    return {name: value for name, value in values.items() if value is not None}


def settle_encoder(
    settings: EncoderSettings, network_settings: NetworkSettings, network: Network, generator: Generator
) -> EncoderSettings:
    """`auto` and `own` as what they stand for: same, none, or a kind of network; and its layer.

    `own` is the network whose layer the generator inverts. `auto` is the network under study if it has a layer of that
    name, or the one asked for; else `own`; and for a generator that inverts nothing, as pixels, the built-in network.
    The layer is the one asked for, or else the one that the generator inverts.

    Raises:
        ConfigError: there is no such network; or it is `own`, of a generator that inverts nothing; or it is none that
            name, factory, weights or options could describe.
    """
    kind, inverts = settings.network, generator.inverts
    if kind not in (*WORDS, *NETWORKS):
        raise ConfigError(f"encoder.network={kind}: {hint(kind, (*WORDS, *NETWORKS))}")
    if kind == "own" and inverts is None:
        raise ConfigError(
            f"encoder=own: generator {generator.name} says of no network that it inverts it; give encoder.network and "
            "encoder.layer, or encoder=none."
        )
    if kind in WORDS and builder_arguments(settings):
        raise ConfigError(
            f"encoder.{next(iter(builder_arguments(settings)))} describes a network of its own: give its kind, as "
            "encoder.network=caffenet."
        )
    if kind == "none":
        return settings
    asked, settings = settings.layer, replace(settings, layer=settings.layer or (inverts[1] if inverts else "fc6"))
    if kind == "auto":
        kind = "same" if asked or settings.layer in network.layers else "own" if inverts else BUILT_IN
    if kind == "own" and inverts:
        kind = "same" if network_settings.kind == inverts[0] else inverts[0]
    return replace(settings, network=kind)


def build_encoder(settled: EncoderSettings, network: Network, networks: Networks) -> Encoder | None:
    """The encoder that settled settings describe; None: the images themselves."""
    if settled.network == "none" or settled.layer is None:
        return None
    other = network if settled.network == "same" else networks.get(settled.network, settled)
    return Encoder(other, settled.layer)


def build_inverse(
    encoder: Encoder | None,
    settled: EncoderSettings,
    network_settings: NetworkSettings,
    network: Network,
    generator: Generator,
    networks: Networks,
) -> Encoder | None:
    """What makes codes of images: the layer that the generator inverts; the given encoder if it inverts nothing.

    Not any encoder that gives as many numbers: fc6 of AlexNet and of CaffeNet are both 4096.
    """
    if generator.inverts in (None, (settled.network, settled.layer)):
        return encoder
    own = settle_encoder(EncoderSettings("own", None), network_settings, network, generator)
    try:
        return build_encoder(own, network, networks)
    except WeightsError as error:
        raise WeightsError(
            f"chains start at the encodings of random images (starts=random_images), which takes {own.layer} of "
            f"{own.network}, the network that generator {generator.name} was trained on. {error}"
        ) from error


def usual_starts(settings: ModelSettings, generator: Generator) -> str:
    """What starts=auto is: the method's own, or as the paper has it where nothing is known of natural codes.

    Raises:
        ConfigError: there is a folder of images to start from, and no use for it.
    """
    if not isinstance(settings, SampleSettings):
        return "random_images" if generator.statistics is None else "normal"
    kind, chains = method_class(settings.method.name), settings.schedule.K * settings.schedule.groups
    starts = kind.starts
    if settings.folder is None or starts not in FROM_IMAGES:
        if generator.statistics is None:
            starts = "random_images"
        elif starts in FROM_IMAGES and len(generator.statistics.bank) < chains:
            starts = "normal"
    if settings.folder is not None and starts not in FROM_IMAGES and not kind.reads_folder:
        raise ConfigError(
            f"{settings.folder}: images are not used with starts=auto, which is {starts} here: add starts=near, "
            "codes or mixed, or leave them out."
        )
    return starts
