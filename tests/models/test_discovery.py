"""Modules whose layers, shapes and runs are known by construction."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.colours import Colours
from invset.models.discovery import Found, discover, discovered_network
from invset.models.network import Network
from invset.models.unit import parse_unit


class ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Tokens(nn.Module):
    """(b, c, h, w) -> (b, h w + 1, c)."""

    def forward(self, x: Tensor) -> Tensor:
        patches = x.flatten(2).transpose(1, 2)
        return torch.cat([patches.mean(1, keepdim=True), patches], dim=1)


class Windows(nn.Module):
    """(b, c, h, w) -> (b, windows, tokens, c): no map, though it has four dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(3, (-1, 2)).movedim(3, 1).flatten(3).transpose(2, 3)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Sum(nn.Module):
    """Over the batch: its first dimension is not the images'."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(0)


class Zoo(nn.Module):
    """Every kind of output; `relu` runs three times, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Identity()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.last_channels = ChannelsLast()
        self.tokens = Tokens()
        self.windows = Windows()
        self.pair = Pair()
        self.sum = Sum()
        self.integers = nn.AdaptiveMaxPool2d(1, return_indices=True)
        self.block = nn.Sequential(nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(), nn.Linear(5, 7))
        randomness = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=randomness)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        for layer in (self.last_channels, self.tokens, self.windows, self.pair, self.sum, self.integers):
            layer(x)
        features = self.relu(self.block(x))
        logits: Tensor = self.head(self.relu(features))
        return logits


def zoo(**options: object) -> Network:
    return discovered_network("zoo", Zoo(), 8, Colours(), **options)  # type: ignore[arg-type]


def test_layers_in_the_order_in_which_they_are_done() -> None:
    found = discover(Zoo().eval(), torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert found == {
        "stem": Found((6, 8, 8)),
        "relu": Found((6, 8, 8), runs=3),
        "last_channels": Found((6, 8, 8)),
        "tokens": Found((6, 65)),
        "block.0": Found((5, 8, 8)),
        "block.1": Found((5, 1, 1)),
        "block.2": Found((5,)),
        "block": Found((5,)),
        "head.0": Found((5,)),
        "head.1": Found((7,), final=True),
        "head": Found((7,), final=True),
        "": Found((7,), final=True),
    }


def test_looking_leaves_nothing_behind() -> None:
    module, images = Zoo().eval(), torch.zeros(2, 3, 8, 8)
    before = torch.get_rng_state()
    first = discover(module, images)
    module(images)
    assert discover(module, images) == first
    assert torch.equal(before, torch.get_rng_state())
    pickle.dumps(module)  # which local functions, as hooks are, do not survive


def test_what_is_found_is_what_is_read() -> None:
    network = zoo()
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    outputs = network.read(network.layers, images)
    assert list(outputs) == list(network.layers)
    assert {layer: tuple(output.shape[1:]) for layer, output in outputs.items()} == network.shapes
    measured = Network("zoo", network.module, network.layers, (3, 8, 8))
    assert measured.shapes == network.shapes
    module = network.module
    with torch.no_grad():
        stem = module.stem(images)  # type: ignore[operator]
        torch.testing.assert_close(outputs["stem"], stem)  # not what the ReLU makes of it in place
        torch.testing.assert_close(outputs["relu"], stem.clamp(min=0))  # the first time
        torch.testing.assert_close(outputs["logits"], module(images))
        torch.testing.assert_close(outputs["last_channels"], outputs["relu"])
        torch.testing.assert_close(outputs["tokens"][:, :, 1:].unflatten(2, (8, 8)), outputs["relu"])


def test_labels_are_those_of_the_output_and_of_what_gives_the_same(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("\n".join(f"class {number}" for number in range(7)))
    network = zoo(labels=file)
    assert set(network.labels) == {"head.1", "head", "logits"}
    assert parse_unit("logits:class 3", network).index == 3
    assert not zoo().labels  # 7 are not ImageNet's 1000
    (tmp_path / "few.txt").write_text("too\nfew\n")
    with pytest.raises(ConfigError, match="has 7 units but 2 labels; give 7"):
        zoo(labels=tmp_path / "few.txt")


def test_an_alias_does_not_hide_a_path() -> None:
    network = zoo(aliases={"conv1": "stem", "relu": "stem", "absent": "nowhere"})
    assert network.layers["conv1"] == "stem"
    assert network.layers["relu"] == "relu"
    assert "absent" not in network.layers
    assert list(network.layers)[:3] == ["conv1", "stem", "relu"]


def test_an_output_that_is_no_vector_has_no_names(tmp_path: Path) -> None:
    network = discovered_network("maps", nn.Sequential(nn.Conv2d(3, 4, 1)), 4, Colours())
    assert dict(network.layers) == {"0": "0", "logits": ""}
    assert network.shapes["logits"] == (4, 4, 4)
    file = tmp_path / "names.txt"
    file.write_text("a\nb\nc\nd\n")
    with pytest.raises(ConfigError, match=r"gives no vector of classes, so that .*names.txt names nothing"):
        discovered_network("maps", nn.Sequential(nn.Conv2d(3, 4, 1)), 4, Colours(), file)


def test_modules_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="network pair: none of its modules gives one vector, sequence or map"):
        discovered_network("pair", nn.Sequential(Pair()), 4, Colours())
    with pytest.raises(
        ConfigError,
        match=r"cannot be run on images of 4x4 pixels \(RuntimeError: .*Kernel size.*another network.options.size",
    ):
        discovered_network("big", nn.Conv2d(3, 4, 7), 4, Colours())


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "64", None])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigError, match=f"network zoo: size={size} is no image size; give pixels a side"):
        discovered_network("zoo", Zoo(), size, Colours())  # type: ignore[arg-type]


def test_the_type_of_numbers_is_the_modules() -> None:
    network = discovered_network("zoo", Zoo().double(), 8, Colours(255, 127, 128, bgr=True))
    assert network.shapes["logits"] == (7,)
