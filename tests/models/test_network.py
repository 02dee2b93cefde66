import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.network import Generator, Network, resize


def test_shapes_are_measured(toy: Network) -> None:
    assert toy.shapes == {"conv": (4, 6, 4), "fc": (8,), "last": (2,)}
    assert (toy.units("conv"), toy.units("fc")) == (4, 8)


def test_modules_are_frozen(toy: Network) -> None:
    module = copy.deepcopy(toy.module).train().requires_grad_(True)
    Network("toy", module, {"fc": "fc"}, (3, 6, 4))
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    decoder = nn.Linear(2, 3)
    Generator("g", decoder, 2, (3, 1, 1))
    assert not decoder.training
    assert not decoder.weight.requires_grad


def test_images_of_another_size_are_resized(toy: Network, images: Tensor) -> None:
    large = torch.rand(2, 3, 15, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    small = F.interpolate(large, (6, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(toy.read(["fc"], large)["fc"], toy.read(["fc"], small)["fc"], rtol=0, atol=0)
    assert resize(images, (6, 4)) is images


def test_resizing_averages_rather_than_skips_pixels() -> None:
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    middle = resize(stripes, (16, 16))[..., 2:-2, 2:-2]
    torch.testing.assert_close(middle, torch.full_like(middle, 0.5), rtol=0, atol=0.02)


def test_the_resize_is_differentiable(toy: Network) -> None:
    large = torch.rand(1, 3, 8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda x: toy.read(["last"], x)["last"], (large.requires_grad_(True),))


def test_an_unknown_layer_names_its_neighbours(toy: Network, images: Tensor) -> None:
    with pytest.raises(ConfigError, match="network toy has no layer 'fc6': did you mean fc"):
        toy.read(["fc6"], images)


def test_labels_must_fit_the_layer(toy: Network) -> None:
    with pytest.raises(ConfigError, match="has 2 units but 8 labels"):
        Network("toy", toy.module, {"last": "last"}, (3, 6, 4), {"last": toy.labels["fc"]})
    with pytest.raises(ConfigError, match="no layer 'fc'"):
        Network("toy", toy.module, {"last": "last"}, (3, 6, 4), toy.labels)


def test_a_layer_must_be_a_vector_or_a_map() -> None:
    with pytest.raises(ConfigError, match=r"outputs of shape \(3, 24\)"):
        Network("flat", nn.Sequential(nn.Flatten(2)), {"rows": "0"}, (3, 6, 4))
