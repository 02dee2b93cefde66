import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.colours import IMAGENET_DEVIATION, IMAGENET_MEAN, Colours
from invset.models.layers import channels_first
from invset.models.network import Generator, Network, count_operations, crop, resize


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


def test_a_layer_must_be_a_vector_a_sequence_or_a_map() -> None:
    module = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Flatten())
    for path in ("0", "nowhere"):
        with pytest.raises(ConfigError, match=f"layer deep of stacked: '{path}' does not run, or gives no vector"):
            Network("stacked", module, {"deep": path}, (3, 6, 4))


def test_shapes_that_are_given_are_not_measured() -> None:
    network = Network("none", nn.Identity(), {"a": "nowhere"}, (3, 6, 4), shapes={"a": (5,)})
    assert network.units("a") == 5


def test_tokens_and_maps_with_channels_last_are_turned(images: Tensor) -> None:
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(channels_first(maps.flatten(2).transpose(1, 2)), maps.flatten(2))
    assert torch.equal(channels_first(maps.permute(0, 2, 3, 1)), maps)
    assert channels_first(maps) is maps
    assert channels_first(images) is images  # 6 x 4: its first two sides are not equal
    assert channels_first(images.flatten(1)).shape == (5, 72)
    network = Network("rows", nn.Flatten(2), {"rows": ""}, (3, 6, 4))
    assert network.shapes == {"rows": (24, 3)}  # 3 tokens of 24
    assert torch.equal(network.read(["rows"], images)["rows"], images.flatten(2).transpose(1, 2))


def test_the_middle_is_cropped() -> None:
    image = torch.arange(256.0).expand(1, 3, 256, 256)
    assert crop(image, (227, 227))[0, 0, 0, [0, -1]].tolist() == [14, 240]  # [14:241]
    assert crop(image, (256, 256)).shape == (1, 3, 256, 256)


class Bytes(nn.Module):
    """Codes (b, 2) -> images of one colour in their left half, of another in their right: blue first, 0 to 255."""

    def forward(self, codes: Tensor) -> Tensor:
        left, right = (codes[:, side].view(-1, 1, 1, 1) for side in (0, 1))
        order = torch.tensor([30.0, 20.0, 10.0], dtype=codes.dtype).view(1, 3, 1, 1)
        halves = torch.arange(20).view(1, 1, 1, 20) < 10
        return torch.where(halves, left, right) * order.expand(1, 3, 20, 20) - 5


def test_any_generator_suits_any_network() -> None:
    """A generator of bytes, blue first, less a mean, cropped; a network of ImageNet's colours at another size."""
    generator = Generator("bytes", Bytes(), 2, (3, 16, 16), colours=Colours(255, 5, bgr=True))
    colours = Colours(1.0, IMAGENET_MEAN, IMAGENET_DEVIATION)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten())
    network = Network("halves", pool, {"sides": ""}, (3, 8, 8), colours=colours)
    codes = torch.tensor([[1.0, 2.0], [3.0, 0.5]], dtype=torch.float64, requires_grad=True)
    images = generator(codes)
    assert images.shape == (2, 3, 16, 16)
    for channel, amount in enumerate((10, 20, 30)):  # red, green, blue
        torch.testing.assert_close(images[:, channel, 3, 0], codes[:, 0] * amount / 255, rtol=1e-6, atol=1e-9)
    sides = network.read(["sides"], images)["sides"].unflatten(1, (3, 2))
    amounts = codes.unsqueeze(1) * torch.tensor([10.0, 20, 30], dtype=torch.float64).view(3, 1) / 255
    mean, deviation = (torch.tensor(v, dtype=torch.float64).view(3, 1) for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    blurred = (amounts - amounts.flip(2)).abs() / 8 / deviation  # the resize mixes the halves where they meet
    assert ((sides - (amounts - mean) / deviation).abs() <= blurred).all()
    (gradient,) = torch.autograd.grad(sides.sum(), codes)
    assert (gradient > 0).all()
    assert torch.autograd.gradcheck(lambda c: network.read(["sides"], generator(c))["sides"], (codes,))


def test_operations_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module = nn.Sequential(
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 8, 3, groups=2)),
        nn.Flatten(),
        nn.Linear(288, 5),
    ).eval()
    x = torch.rand(3, 4, 4, 4)
    module[1].eval()
    with FlopCounterMode(display=False) as counter:
        for layer in (0, 2, 3):
            x = module[1](x) if layer == 2 else x
            x = module[layer](x)
    assert count_operations([module, module[3]], lambda: module(torch.rand(3, 4, 4, 4))) == counter.get_total_flops()
