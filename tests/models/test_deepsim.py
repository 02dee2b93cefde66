"""DeePSiM's generators against OpenCV's reading of the same prototxt and caffemodel, random weights, all layers.

The error is max|ours - OpenCV's| / max|OpenCV's|, per layer.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from invset.errors import ConfigError, WeightsError
from invset.models.deepsim import HEADS, DeepSim, deepsim_generator, ppgn_generator
from invset.models.layers import read_layers
from invset.models.network import Generator
from tests.models.caffe_nets import GENERATORS, Blobs

TOLERANCE = 1e-5
PUBLISHED = {  # numbers of each, with all biases
    "fc6": 56_097_891,
    "fc7": 56_097_891,
    "fc8": 43_416_675,
    "pool5": 12_702_307,
    "conv4": 8_074_147,
    "conv3": 8_074_147,
    "norm2": 1_661_315,
    "norm1": 1_034_499,
}


class Case(NamedTuple):
    """A head's random weights, their file, two codes, and what OpenCV makes of them."""

    blobs: Blobs
    file: Path
    codes: np.ndarray
    expected: dict[str, np.ndarray]

    @property
    def flat(self) -> Tensor:
        return torch.from_numpy(self.codes).flatten(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("generators")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def case(folder: Path) -> Callable[[str], Case]:
    cases: dict[str, Case] = {}

    def make(head: str) -> Case:
        if head not in cases:
            net = GENERATORS[head]
            blobs = net.weights()
            version = 1 if head == "fc8" else 2
            file = net.write(folder / f"{head}.caffemodel", blobs, version=version, legacy=version == 1)
            codes = np.random.default_rng(1).standard_normal((2, *net.shape), dtype=np.float32) * 5
            if head != "fc8":
                codes = codes.clip(0)
            cases[head] = Case(blobs, file, codes, net.opencv(file, codes, folder))
        return cases[head]

    return make


def error(ours: Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())


def test_heads_that_differ_in_their_codes_or_in_nothing() -> None:
    """fc6 and fc7 from fc8, which is the smallest of the three; conv3 from conv4."""
    assert HEADS["fc6"] == HEADS["fc7"] == HEADS["fc8"]._replace(shape=(4096,))
    assert HEADS["conv3"] == HEADS["conv4"]


@pytest.mark.parametrize("head", ["fc8", "pool5", "conv4", "norm2", "norm1"])
def test_every_layer_is_opencvs(case: Callable[[str], Case], head: str) -> None:
    of = case(head)
    generator = deepsim_generator(head, of.file)
    ours = read_layers(generator.module, of.expected, of.flat)
    errors = {layer: error(ours[layer], theirs) for layer, theirs in of.expected.items()}
    assert len(errors) == len(HEADS[head].layers) + ("reshape" in errors)
    assert max(errors.values()) < TOLERANCE, errors
    assert all(theirs.std() > 1 for theirs in of.expected.values())


@pytest.mark.parametrize("head", HEADS)
def test_size_is_the_published_one(head: str) -> None:
    with torch.device("meta"):
        module = DeepSim(head)
    assert sum(parameter.numel() for parameter in module.parameters()) == PUBLISHED[head]


@pytest.mark.parametrize("head", ["pool5", "norm1"])
def test_images_are_rgb_with_the_mean_and_the_middle(case: Callable[[str], Case], head: str) -> None:
    of = case(head)
    blue, green, red = (list(of.expected.values())[-1]).transpose(1, 0, 2, 3)
    rgb = np.stack([red + 123, green + 117, blue + 104], axis=1) / 255
    for crop, start in ((227, 14 if head == "pool5" else 6), (HEADS[head].size, 0)):
        generator = deepsim_generator(head, of.file, crop=crop)
        assert generator.image_shape == (3, crop, crop)
        assert generator.code_size == of.flat.shape[1]
        images = generator(of.flat).detach()
        middle = rgb[..., start : start + crop, start : start + crop]
        assert error(images, middle) < TOLERANCE


def equal(one: Generator, other: Generator) -> bool:
    ours, theirs = one.module.state_dict(), other.module.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_our_own_names_and_further_layers(case: Callable[[str], Case], tmp_path: Path) -> None:
    of = case("norm1")
    expected = deepsim_generator("norm1", of.file)
    save_file(expected.module.state_dict(), tmp_path / "own.safetensors")
    assert equal(deepsim_generator("norm1", tmp_path / "own.safetensors"), expected)
    more = {**of.blobs, "conv1": (np.ones((2, 2), np.float32),)}
    file = GENERATORS["norm1"].write(tmp_path / "more.caffemodel", more, version=1)
    assert equal(deepsim_generator("norm1", file), expected)


def test_other_weights_are_one_error(case: Callable[[str], Case], tmp_path: Path) -> None:
    of = case("norm1")
    with pytest.raises(
        WeightsError, match=r"norm1.caffemodel: layer defc7: weight should be .*, is absent. These are not"
    ):
        ppgn_generator(of.file)
    with pytest.raises(WeightsError, match=r"layer Rconv6: weight should be \(256, 256, 3, 3\), is \(128, 96, 3, 3\)"):
        deepsim_generator("norm2", of.file)
    with pytest.raises(WeightsError, match="there is no such file"):
        ppgn_generator(tmp_path / "none.caffemodel")


@pytest.mark.parametrize("crop", [0, 257])
def test_a_crop_must_fit(crop: int) -> None:
    with pytest.raises(ConfigError, match="crop is"):
        deepsim_generator(crop=crop)


def test_there_are_eight_of_them() -> None:
    with pytest.raises(ConfigError, match="there is none for layer 'fc9'"):
        deepsim_generator("fc9")


def test_codes_are_bounded_where_their_layer_is() -> None:
    """A ReLU's outputs are 0 and more, and nothing is known of their highest."""
    bounds = {head: deepsim_generator(head, "random").code_bounds for head in ("fc8", "pool5", "norm1")}
    assert bounds == {"fc8": None, "pool5": (0.0, float("inf")), "norm1": (0.0, float("inf"))}
    assert ppgn_generator("random").code_bounds == (0.0, float("inf"))
