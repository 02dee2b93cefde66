"""What `invset units` prints, in a pipe, word for word where it matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from invset.models.colours import Colours
from invset.models.discovery import discovered_network
from invset.models.listing import describe_layer

Call = Callable[..., Any]

NETS = """
from torch import nn


def deep():
    inner = nn.Sequential(nn.Linear(3, 3))
    for number in range(9):
        inner = nn.Sequential()
        inner.add_module("a_rather_long_name_of_a_block", nn.Linear(3, 3) if number == 0 else previous)
        previous = inner
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), inner)
"""


def rows(out: str) -> dict[str, str]:
    """First word of a line -> the line, with single spaces."""
    return {line.split()[0].strip(","): " ".join(line.split()) for line in out.splitlines() if line}


def test_the_layers_of_the_built_in_network(invset: Call) -> None:
    result = invset("units")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("mini sees images of 64x64 pixels")
    lines = rows(result.out)
    assert lines["conv5"] == "conv5 128 maps of 16x16"
    assert lines["fc8"] == "fc8 1000 numbers; units have names"
    assert "A unit is written layer:number, from 1, or layer:name." in result.out
    assert not any(line.endswith(" ") for line in result.out.splitlines())


def test_aliases_stand_beside_the_path(invset: Call) -> None:
    lines = rows(invset("units", "network=torchvision", "network.options.size=64").out)
    assert lines["conv5"] == "conv5, features.11 256 maps of 3x3"
    assert lines["fc8"] == "fc8, classifier.6 1000 numbers; units have names"
    assert lines["logits"] == "logits 1000 numbers; units have names"


def test_modules_that_run_more_than_once_are_said(invset: Call) -> None:
    chosen = ("network=torchvision", "network.name=resnet18", "network.options.size=32")
    lines = rows(invset("units", *chosen).out)
    assert lines["layer1.0.relu"] == "layer1.0.relu 64 maps of 8x8; runs 2 times, read the first time"
    assert lines["layer1.0.conv1"] == "layer1.0.conv1 64 maps of 8x8"


def test_long_paths_are_whole_in_a_pipe(invset: Call, here: Path) -> None:
    (here / "deepnets.py").write_text(NETS)
    out = invset("units", "network=custom", "network.factory=deepnets:deep", "network.options.size=8").out
    path = "2" + 9 * ".a_rather_long_name_of_a_block"
    assert f"\n{path} " in out
    assert len(path) > 250


def test_a_layer_of_maps(invset: Call) -> None:
    for out in (invset("units", "conv5").out, invset("units", "find=conv5", "network=mini").out):
        assert out.splitlines() == [
            "conv5 of mini: 128 maps of 16x16",
            "Units are conv5:1 to conv5:128.",
            "Read at a row from 0 to 15 and a column from 0 to 15, as conv5:128:0:0, or :center (8:8, the default), "
            ":max, :mean.",
        ]


def test_a_layer_with_names_lists_all_of_them(invset: Call) -> None:
    lines = invset("units", "fc8").out.splitlines()
    assert lines[:3] == [
        "fc8 of mini: 1000 numbers",
        "Units are fc8:1 to fc8:1000, or by name, as 'fc8:toilet tissue'.",
        "",
    ]
    assert len(lines) == 3 + 1000
    assert (lines[3], lines[3 + 980], lines[-1]) == ("1 tench", "981 volcano", "1000 toilet tissue")


def test_a_layer_of_tokens() -> None:
    class Tokens(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.pad(x.flatten(2), (1, 0)).transpose(1, 2)

    network = discovered_network("toy", nn.Sequential(Tokens()), 4, Colours())
    assert describe_layer(network, "0") == [
        "0 of toy: 17 tokens of 3",
        "Units are 0:1 to 0:3.",
        "Read at a token from 0 to 16, as 0:3:0 (the class token, where there is one), or :center (11, the default), "
        ":max, :mean.",
    ]


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["volcano"], ["fc8:981 volcano"]),
        (["VOLCANO"], ["fc8:981 volcano"]),
        (["school_bus"], ["fc8:780 school bus"]),
        (["school", "bus"], ["fc8:780 school bus"]),
        (["olcan"], ["fc8:981 volcano"]),
        (["find=toilet"], ["fc8:862 toilet seat", "fc8:1000 toilet tissue"]),
        (["fc8:volcano"], ["fc8:981 volcano"]),
        (["conv5:97"], ["conv5:97 at 8:8 of 16x16"]),
    ],
)
def test_units_by_name(invset: Call, words: list[str], lines: list[str]) -> None:
    result = invset("units", *words)
    assert (result.code, result.out.splitlines(), result.err) == (0, lines, "")


def test_the_same_names_are_found_once(invset: Call) -> None:
    chosen = ("network=torchvision", "network.name=squeezenet1_1", "network.options.size=64")
    assert invset("units", *chosen, "volcano").out == "logits:981 volcano\n"
    chosen = ("network=torchvision", "network.options.size=64")
    assert invset("units", *chosen, "volcano").out == "fc8:981 volcano\n"


def test_nothing_found(invset: Call) -> None:
    result = invset("units", "volcanoe")
    assert (result.code, result.out) == (1, "")
    assert "mini has no layer 'volcanoe', and no unit of such a name: did you mean volcano" in result.err
    result = invset("units", "network=linear", "outptu")
    assert (result.code, result.err.endswith("did you mean output?\n")) == (1, True)
    assert "invset units lists its layers." in invset("units", "network=linear", "qqqq").err
    result = invset("units", "fc8:volcanoe")
    assert (result.code, "did you mean volcano (981)" in result.err) == (2, True)


def test_nothing_is_fetched(invset: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_arguments: Any) -> None:
        raise AssertionError("a listing needs no weights")

    monkeypatch.setattr("invset.cli.fetching.fetch_for_run", fetch)
    assert invset("units", "network=caffenet", "volcano").out == "fc8:981 volcano\n"
    out = invset("units", "network=timm", "network.name=vit_tiny_patch16_224", "norm:12").out
    assert out == "norm:12 at token 106 of 197\n"
