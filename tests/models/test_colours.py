"""Colours, against torchvision's own transform and against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import Normalize

from invset.errors import ConfigError
from invset.models.colours import CAFFE_MEAN, IMAGENET_DEVIATION, IMAGENET_MEAN, Colours, caffe_colours

MEAN_IMAGE = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(3)) * 200


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


ALL = {
    "none": Colours(),
    "imagenet": Colours(1.0, IMAGENET_MEAN, IMAGENET_DEVIATION),
    "caffe": caffe_colours(),
    "mean image": caffe_colours(MEAN_IMAGE),
    "one number": Colours(255, 127, 128),
    "reversed": Colours(bgr=True),
    "each": Colours(2.0, [0.1, 0.2, 0.3], [1.0, 2.0, 3.0], bgr=True),
}


@pytest.mark.parametrize("colours", ALL.values(), ids=ALL)
def test_decoding_undoes_encoding(colours: Colours, images: Tensor) -> None:
    torch.testing.assert_close(colours.decode(colours.encode(images)), images, rtol=0, atol=1e-12)
    outputs = 100 * images - 30
    torch.testing.assert_close(colours.encode(colours.decode(outputs)), outputs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("colours", ALL.values(), ids=ALL)
def test_gradients_flow_both_ways(colours: Colours, images: Tensor) -> None:
    some = images[:1, :, :5, :4].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(colours.encode, (some,))
    assert torch.autograd.gradcheck(colours.decode, (some,))


def test_imagenets_are_torchvisions(images: Tensor) -> None:
    normalise = Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    torch.testing.assert_close(
        Colours(1.0, IMAGENET_MEAN, IMAGENET_DEVIATION).encode(images), normalise(images), rtol=1e-6, atol=1e-6
    )


def test_caffes_are_bytes_blue_first() -> None:
    red = torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)
    assert CAFFE_MEAN == (104, 117, 123)
    assert caffe_colours().encode(red).flatten().tolist() == [0 - 104, 127.5 - 117, 255 - 123]


def test_a_mean_image_is_taken_off_pixel_by_pixel(images: Tensor) -> None:
    encoded = ALL["mean image"].encode(images)
    assert encoded[1, 0, 2, 3] == pytest.approx(float(255 * images[1, 2, 2, 3] - MEAN_IMAGE[0, 2, 3]))
    assert encoded[0, 2, 4, 0] == pytest.approx(float(255 * images[0, 0, 4, 0] - MEAN_IMAGE[2, 4, 0]))


def test_the_deviation_comes_after_the_mean(images: Tensor) -> None:
    encoded = ALL["each"].encode(images)
    assert encoded[0, 0, 1, 1] == pytest.approx(float((2 * images[0, 2, 1, 1] - 0.1) / 1))
    assert encoded[0, 2, 1, 1] == pytest.approx(float((2 * images[0, 0, 1, 1] - 0.3) / 3))


def test_colours_of_a_plain_model_cost_nothing(images: Tensor) -> None:
    assert Colours().encode(images) is images
    assert Colours().decode(images) is images
    assert not Colours().state_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale 0 and deviation 1.0 have to be above 0"),
        ({"deviation": [1, 0, 1]}, "have to be above 0"),
        ({"mean": [1, 2]}, r"mean=\[1, 2\]; give a finite number, or one for each of 3 channels"),
        ({"mean": float("nan")}, "mean=nan; give a finite number"),
        ({"mean": "grey"}, "mean=grey; give a finite number"),
        ({"bgr": "no"}, r"bgr=no; give true \(blue first\) or false"),
    ],
)
def test_numbers_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Colours(**arguments)
