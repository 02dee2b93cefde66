import pytest
import torch
from torch import nn

from invset.errors import ConfigError
from invset.models.deepsim import DeepSim, deepsim_generator
from invset.models.network import Generator


@pytest.fixture(scope="module")
def deepsim() -> Generator:
    return deepsim_generator()


def test_size_is_the_published_one(deepsim: Generator) -> None:
    numbers = sum(parameter.numel() for parameter in deepsim.module.parameters())
    assert 0 < 224_398_749 - 4 * numbers < 10_000  # upconvGAN_fc6.pt holds them, their names and padding


def test_layers_have_the_published_shapes(deepsim: Generator) -> None:
    sides = {
        "deconv5": (256, 8),
        "conv5_1": (512, 8),
        "deconv4": (256, 16),
        "conv4_1": (256, 16),
        "deconv3": (128, 32),
        "conv3_1": (128, 32),
        "deconv2": (64, 64),
        "deconv1": (32, 128),
        "deconv0": (3, 256),
    }
    seen: dict[str, tuple[int, int]] = {}
    handles = []
    for name in sides:

        def hook(_m: nn.Module, _i: object, output: torch.Tensor, name: str = name) -> None:
            seen[name] = (output.shape[1], output.shape[2])

        handles.append(deepsim.module.get_submodule(name).register_forward_hook(hook))
    with torch.no_grad():
        images = deepsim.module(torch.zeros(1, 4096))
    for handle in handles:
        handle.remove()
    assert seen == sides
    assert list(seen) == list(sides)
    assert images.shape == (1, *deepsim.image_shape) == (1, 3, 256, 256)


def test_an_output_of_0_is_the_mean_colour_in_rgb(deepsim: Generator) -> None:
    with torch.no_grad():
        grey = deepsim.module(torch.zeros(1, 4096))  # biases are 0
    colour = torch.tensor([123.0, 117.0, 104.0]).div(255).view(1, 3, 1, 1)
    torch.testing.assert_close(grey, colour.expand_as(grey))


def test_the_crop_is_the_middle(deepsim: Generator) -> None:
    module = deepsim.module
    assert isinstance(module, DeepSim)
    codes = torch.rand(1, 4096, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = module(codes)
        module.crop = 227
        cropped = module(codes)
        module.crop = None
    assert torch.equal(cropped, whole[..., 14:241, 14:241])
    assert whole.std() > 0
    assert whole.isfinite().all()


def test_a_crop_must_fit() -> None:
    for crop in (0, 257):
        with pytest.raises(ConfigError, match="crop is"):
            deepsim_generator(crop=crop)
