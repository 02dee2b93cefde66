from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.network import Network
from invset.models.unit import Unit, center, parse_unit


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("fc:1", 0),
        ("fc:8", 7),
        (" fc : 2 ", 1),
        ("fc:volcano", 0),
        ("fc:School_Bus", 1),
        ("fc:school-bus", 1),
        ("fc:route 66 sign", 6),
        ("fc:GREAT EGRET", 7),
    ],
)
def test_units_of_a_vector_layer(toy: Network, text: str, index: int) -> None:
    unit = parse_unit(text, toy)
    assert (unit.layer, unit.index, unit.position, unit.label) == ("fc", index, None, toy.labels["fc"][index])
    assert str(unit) == f"fc:{index + 1}"
    assert parse_unit(str(unit), toy) == unit


@pytest.mark.parametrize("text", ["volcano", " School_Bus ", "GREAT EGRET"])
def test_a_label_alone_is_that_of_the_layer_which_has_it(toy: Network, text: str) -> None:
    assert parse_unit(text, toy) == parse_unit(f"fc:{text}", toy)


def test_a_label_alone_in_several_layers(toy: Network) -> None:
    again = {"fc": "fc", "same": "fc", "last": "last"}  # two names of one layer
    one = replace(toy, layers=again, labels=dict.fromkeys(("fc", "same"), toy.labels["fc"]), shapes={})
    assert str(parse_unit("volcano", one)) == "fc:1"
    two = replace(toy, labels={"fc": toy.labels["fc"], "last": ("volcano", "lake")}, shapes={})
    assert str(parse_unit("lake", two)) == "last:2"
    with pytest.raises(ConfigError, match="did you mean fc:volcano or last:volcano"):
        parse_unit("volcano", two)


@pytest.mark.parametrize(
    ("text", "position", "written", "described"),
    [
        ("conv:3", "center", "conv:3:center", "conv:3 at 3:2 of 6x4"),
        ("conv:3:center", "center", "conv:3:center", "conv:3 at 3:2 of 6x4"),
        ("conv:3:5:0", (5, 0), "conv:3:5:0", "conv:3 at 5:0 of 6x4"),
        ("conv:3:max", "max", "conv:3:max", "conv:3, the maximum of 6x4"),
        ("conv:3:mean", "mean", "conv:3:mean", "conv:3, the mean of 6x4"),
    ],
)
def test_units_of_a_map(toy: Network, text: str, position: object, written: str, described: str) -> None:
    unit = parse_unit(text, toy)
    assert (unit.index, unit.position, unit.map_size) == (2, position, (6, 4))
    assert str(unit) == written
    assert unit.describe() == described
    assert parse_unit(written, toy, default_position="mean") == unit


@pytest.fixture
def sequence() -> Network:
    """12 channels of 197 tokens: a class token and 14 x 14 patches. Entry = 1000 channel + token."""
    table = 1000.0 * torch.arange(12) + torch.arange(197.0).view(197, 1)

    class Tokens(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return table + 0 * images.sum((1, 2, 3)).view(-1, 1, 1)

    return Network("tokens", Tokens(), {"encoder.ln": ""}, (3, 4, 4))


@pytest.mark.parametrize(
    ("text", "position", "written", "described", "value"),
    [
        ("encoder.ln:12", "center", "encoder.ln:12:center", "encoder.ln:12 at token 106 of 197", 11106),
        ("encoder.ln:12:0", (0,), "encoder.ln:12:0", "encoder.ln:12 at token 0 of 197", 11000),
        ("encoder.ln:2:196", (196,), "encoder.ln:2:196", "encoder.ln:2 at token 196 of 197", 1196),
        ("encoder.ln:1:max", "max", "encoder.ln:1:max", "encoder.ln:1, the maximum of 197 tokens", 196),
        ("encoder.ln:1:mean", "mean", "encoder.ln:1:mean", "encoder.ln:1, the mean of 197 tokens", 98),
    ],
)
def test_units_of_a_sequence(
    sequence: Network, text: str, position: object, written: str, described: str, value: float
) -> None:
    unit = parse_unit(text, sequence)
    assert (unit.position, unit.map_size) == (position, (197,))
    assert str(unit) == written
    assert unit.describe() == described
    assert parse_unit(written, sequence, default_position="mean") == unit
    output = sequence.read(["encoder.ln"], torch.zeros(2, 3, 4, 4))["encoder.ln"]
    assert unit.read(output).tolist() == [value, value]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("encoder.ln:13", "has units 1 to 12, counted from 1"),
        ("encoder.ln:1:197", "'197' is no position in this layer; give center, max, mean, or a token, from 0 to 196"),
        ("encoder.ln:1:-1", "'-1' is no position"),
        ("encoder.ln:1:3:3", "'3:3' is no position"),
        ("encoder.ln:1:cls", "'cls' is no position"),
    ],
)
def test_what_is_wrong_of_a_sequence_is_said(sequence: Network, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_unit(text, sequence)


@pytest.mark.parametrize(
    ("tokens", "token"),
    [
        (197, 1 + 7 * 14 + 7),  # ViT-B/16
        (50, 1 + 3 * 7 + 3),  # ViT-B/32
        (196, 7 * 14 + 7),  # no class token
        (201, 5 + 7 * 14 + 7),  # a class token and four registers
        (1370, 1 + 18 * 37 + 18),  # ViT-H/14 at 518 pixels
        (1, 0),
        (2, 1),
        (600, 300),  # 24 more than a square: the middle one
    ],
)
def test_the_centre_of_tokens_is_the_patch_in_the_middle(tokens: int, token: int) -> None:
    assert center(tokens) == (token,)


def test_the_default_position_is_for_maps_that_say_none(toy: Network) -> None:
    assert parse_unit("conv:1", toy, "max").position == "max"
    assert parse_unit("conv:1:0:0", toy, "max").position == (0, 0)
    assert parse_unit("fc:1", toy, "max").position is None


def test_a_description_shows_the_label(toy: Network) -> None:
    assert parse_unit("fc:2", toy).describe() == "fc:2 school bus"
    assert parse_unit("last:2", toy).describe() == "last:2"
    assert Unit("conv5", 96, (8, 8), "faces", (16, 16)).describe() == "conv5:97 faces at 8:8 of 16x16"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc", "'fc' is not a unit: write layer:number"),
        ("", "is not a unit"),
        ("crane", "2 units of fc are labelled 'crane'; write fc:3 or fc:5"),
        ("toilet", "did you mean 'fc:toilet seat' or 'fc:toilet tissue'"),
        ("zzzz", "'zzzz' is not a unit: write layer:number"),
        ("fc:", "is not a unit"),
        ("fx:1", "network toy has no layer 'fx': there are conv, fc, last"),
        ("fc:0", "has units 1 to 8, counted from 1"),
        ("fc:-1", "has units 1 to 8"),
        ("fc:9", "has units 1 to 8"),
        ("fc:crane", "2 units of fc are labelled 'crane'; write fc:3 or fc:5"),
        ("fc:toilet", r"did you mean toilet seat \(4\) or toilet tissue \(6\)\?$"),
        ("fc:volcanoe", r"did you mean volcano \(1\) or "),
        ("fc:cranes", r"did you mean crane \(3\) or crane \(5\)\?"),
        ("fc:zzzz", "labelled 'zzzz'; give a number, 1 to 8"),
        ("last:volcano", "labelled 'volcano'; give a number, 1 to 2"),
        ("fc:1:2:3", "'2:3' is no position in this layer; give none: it is a vector"),
        ("fc:volcano:max", "'max' is no position"),
        ("conv:1:6:0", "'6:0' is no position in this layer; give center, max, mean, or row:column, from 0 to 5:3"),
        ("conv:1:0:4", "'0:4' is no position"),
        ("conv:1:-1:0", "'-1:0' is no position"),
        ("conv:1:3", "'3' is no position"),
        ("conv:1:median", "'median' is no position"),
        ("conv:1:1:2:3", "'1:2:3' is no position"),
    ],
)
def test_what_is_wrong_is_said(toy: Network, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_unit(text, toy)


def test_reading_takes_what_the_position_says() -> None:
    output = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)  # entry = 60 b + 20 channel + 5 row + column
    assert Unit("l", 1, (3, 4)).read(output).tolist() == [39, 99]
    assert Unit("l", 1, "center").read(output).tolist() == [32, 92]
    assert Unit("l", 1, "max").read(output).tolist() == [39, 99]
    assert Unit("l", 1, "mean").read(output).tolist() == [29.5, 89.5]
    assert Unit("l", 1).read(output[:, :, 0, 0]).tolist() == [20, 80]


def test_the_centre_is_the_papers() -> None:
    assert center(13, 13) == (6, 6)  # PPGN's xy = 6
    assert center(16, 16) == (8, 8)
