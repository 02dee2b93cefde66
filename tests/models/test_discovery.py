"""Modules as networks: their layers, other names for them, and the names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from invset.errors import ConfigError
from invset.models.colours import Colours
from invset.models.discovery import discovered_network
from invset.models.network import Network
from invset.models.unit import parse_unit
from tests.models.zoo import Pair, Zoo


def zoo(**options: object) -> Network:
    return discovered_network("zoo", Zoo(), 8, Colours(), **options)  # type: ignore[arg-type]


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
        match=r"cannot be run on images of 4x4 pixels \(RuntimeError: .*Kernel size.*another size",
    ):
        discovered_network("big", nn.Conv2d(3, 4, 7), 4, Colours())


@pytest.mark.parametrize("size", [-1, 2.0, "64"])
def test_sizes_that_are_none(size: object) -> None:
    with pytest.raises(ConfigError, match=f"network zoo cannot be run on images of {size}x{size} pixels"):
        discovered_network("zoo", Zoo(), size, Colours())  # type: ignore[arg-type]


def test_the_type_of_numbers_is_the_modules() -> None:
    network = discovered_network("zoo", Zoo().double(), 8, Colours(255, 127, 128, bgr=True))
    assert network.shapes["logits"] == (7,)
