"""Which network encodes: `auto`, `own`, `same` or any; built once; and what start codes are encoded by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import nn

from invset.assemble import models
from invset.assemble.models import Networks, build_encoder, build_inverse, settle_encoder
from invset.errors import ConfigError
from invset.models.network import Generator, Network
from invset.settings import EncoderSettings, GeneratorSettings, NetworkSettings, ProbeSettings

AUTO, OWN = EncoderSettings("auto", None), EncoderSettings("own", None)


class Layers(nn.Module):
    """Vectors of eight numbers under CaffeNet's names."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        for name in names:
            self.add_module(name, nn.Linear(12 if name == names[0] else 8, 8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1)
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x


@dataclass
class World:
    """Networks of the registry by kind, small; and how often each was built."""

    built: list[str] = field(default_factory=list)

    def build(self, kind: str, *, find: Any = None, **options: Any) -> Network:
        self.built.append(kind)
        names = {"caffenet": ("fc6", "fc7"), "torchvision": ("fc6", "fc7"), "mini": ("fc6", "fc7")}.get(kind, ("out",))
        return Network(kind, Layers(*names), {name: name for name in names}, (3, 2, 2))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(models, "build_network", made.build)
    return made


def generator(inverts: tuple[str, str] | None) -> Generator:
    return Generator("toy", nn.Identity(), 8, (3, 2, 2), inverts=inverts)


@pytest.mark.parametrize(
    ("config", "kind", "inverts", "settled"),
    [
        (AUTO, "caffenet", ("caffenet", "fc6"), ("same", "fc6")),
        (AUTO, "caffenet", ("caffenet", "fc7"), ("same", "fc7")),
        (AUTO, "torchvision", ("caffenet", "fc6"), ("same", "fc6")),
        (AUTO, "linear", ("caffenet", "fc6"), ("caffenet", "fc6")),
        (AUTO, "linear", None, ("mini", "fc6")),
        (EncoderSettings("auto", "out"), "linear", ("caffenet", "fc6"), ("same", "out")),
        (OWN, "torchvision", ("caffenet", "fc6"), ("caffenet", "fc6")),
        (OWN, "caffenet", ("caffenet", "fc6"), ("same", "fc6")),
        (EncoderSettings("own", "fc7"), "linear", ("caffenet", "fc6"), ("caffenet", "fc7")),
        (EncoderSettings("same", "out"), "linear", None, ("same", "out")),
        (EncoderSettings("mini", "fc7"), "caffenet", ("caffenet", "fc6"), ("mini", "fc7")),
        (EncoderSettings("none", None), "caffenet", ("caffenet", "fc6"), ("none", None)),
    ],
)
def test_what_it_settles_to(
    world: World, config: EncoderSettings, kind: str, inverts: tuple[str, str] | None, settled: tuple[str, str | None]
) -> None:
    found = settle_encoder(config, NetworkSettings(kind), world.build(kind), generator(inverts))
    assert (found.network, found.layer) == settled


def test_what_describes_no_network_is_refused(world: World) -> None:
    network, caffenet = world.build("caffenet"), NetworkSettings("caffenet")
    for config in (replace(AUTO, weights="x.pt"), replace(OWN, options={"size": 3})):
        with pytest.raises(ConfigError, match="describes a network of its own"):
            settle_encoder(config, caffenet, network, generator(("caffenet", "fc6")))
    with pytest.raises(ConfigError, match="inverts"):
        settle_encoder(OWN, caffenet, network, generator(None))
    with pytest.raises(ConfigError, match="did you mean caffenet"):
        settle_encoder(EncoderSettings("caffenett", "fc6"), caffenet, network, generator(None))


def test_the_same_settings_are_the_same_network(world: World) -> None:
    placed: list[Network] = []
    networks = Networks(placed.append)
    studied = NetworkSettings("caffenet", weights="random", labels="names.txt", options={"mean": None})
    network = networks.get("caffenet", studied)
    encoding = EncoderSettings("caffenet", "fc6", weights="random", options={"random_seed": 0})
    assert build_encoder(encoding, network, networks).network is network
    other = build_encoder(replace(encoding, options={"random_seed": 1}), network, networks)
    assert other.network is not network
    assert placed == [network, other.network]


def test_starts_are_encoded_by_what_the_generator_inverts(world: World) -> None:
    """Not by any layer of as many numbers."""
    networks = Networks(lambda _: None)
    config = NetworkSettings("torchvision", name="alexnet")
    network, toy = networks.get("torchvision", config), generator(("caffenet", "fc6"))
    settled = settle_encoder(AUTO, config, network, toy)
    near = build_encoder(settled, network, networks)
    assert near.network is network
    inverse = build_inverse(near, settled, config, network, toy, networks)
    assert (inverse.network.name, inverse.layer) == ("caffenet", "fc6")
    none = EncoderSettings("none", None)
    assert build_inverse(None, none, config, network, toy, networks).network is inverse.network
    assert build_inverse(near, settled, config, network, generator(None), networks) is near
    own = EncoderSettings("caffenet", "fc6", weights="random")
    given = build_encoder(own, network, networks)
    assert build_inverse(given, own, config, network, toy, networks) is given


@pytest.mark.parametrize("starts", ["auto", "normal"])
def test_nothing_is_built_that_is_not_used(world: World, starts: str) -> None:
    config = ProbeSettings(
        NetworkSettings("mini"), GeneratorSettings("mini"), EncoderSettings("none", None), starts=starts
    )
    built = models.build_models(config, ("fc7:1",))
    assert (built.encoder, built.inverse, built.starts) == (None, None, "normal")
    assert world.built == ["mini"]


@pytest.mark.parametrize("starts", ["random_images", "common"])
def test_random_images_are_encoded_for_the_generator_whatever_measures_distances(
    world: World, monkeypatch: pytest.MonkeyPatch, starts: str
) -> None:
    monkeypatch.setattr(models, "build_generator", lambda *_, **__: generator(("caffenet", "fc6")))
    network = NetworkSettings("torchvision", name="alexnet")
    config = ProbeSettings(network, GeneratorSettings("toy"), EncoderSettings("none", None), starts=starts)
    built = models.build_models(config, ("fc7:1",))
    assert built.encoder is None
    assert built.inverse is not None
    assert (built.inverse.network.name, built.inverse.layer) == ("caffenet", "fc6")
