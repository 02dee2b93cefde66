from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.models.caffenet import CaffeNet, caffenet_network
from invset.models.network import Network


@pytest.fixture(scope="module")
def caffenet() -> Network:
    return caffenet_network()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(1, 3, 227, 227, generator=torch.Generator().manual_seed(0))


def input_of(network: Network, layer: str, images: Tensor) -> Tensor:
    """What a layer is given."""
    seen: list[Tensor] = []

    def hook(_module: nn.Module, inputs: Any) -> None:
        seen.append(inputs[0])

    handle = network.module.get_submodule(layer).register_forward_pre_hook(hook)
    network.read([layer], images)
    handle.remove()
    return seen[0]


def local_response_norm(x: Tensor) -> Tensor:
    """Caffe's, across channels, written out: x_c / (1 + α/5 Σ x²)^β over channels c - 2 ... c + 2."""
    normed = torch.empty_like(x)
    for c in range(x.shape[1]):
        around = x[:, max(c - 2, 0) : c + 3]
        normed[:, c] = x[:, c] / (1 + 1e-4 / 5 * around.square().sum(dim=1)) ** 0.75
    return normed


def test_shapes_and_size_are_the_published_ones(caffenet: Network) -> None:
    assert dict(caffenet.shapes) == {
        "conv1": (96, 55, 55),
        "conv2": (256, 27, 27),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    numbers = sum(parameter.numel() for parameter in caffenet.module.parameters())
    assert 0 < 243_862_418 - 4 * numbers < 5000  # the caffemodel holds them and the layers' names


def test_images_enter_as_bgr_0_to_255_without_the_mean(caffenet: Network, images: Tensor) -> None:
    seen = input_of(caffenet, "conv1", images)
    red, green, blue = (images * 255).unbind(1)
    by_hand = torch.stack([blue - 104, green - 117, red - 123], dim=1)
    torch.testing.assert_close(seen, by_hand, rtol=0, atol=1e-4)


def test_normalisation_comes_after_the_pool(caffenet: Network, images: Tensor) -> None:
    loud = images * 500  # so that the normalisation matters
    for layer, after in (("conv1", "conv2"), ("conv2", "conv3")):
        output = caffenet.read([layer], loud)[layer]
        by_hand = local_response_norm(F.max_pool2d(output, 3, 2))
        torch.testing.assert_close(input_of(caffenet, after, loud), by_hand, rtol=1e-4, atol=1e-3)
        other_order = F.max_pool2d(local_response_norm(output), 3, 2)
        assert (by_hand - other_order).abs().max() > 0.05


def test_layers_are_read_after_their_relu_and_fc8_raw(caffenet: Network, images: Tensor) -> None:
    outputs = caffenet.read(caffenet.layers, images)
    for layer, output in outputs.items():
        assert output.isfinite().all()
        assert (output.min() < 0) == (layer == "fc8")
        if layer != "fc8":
            assert output.max() > 0


def test_the_mean_is_no_weight() -> None:
    with torch.device("meta"):
        module = CaffeNet(classes=205, mean=(1.0, 2.0, 3.0))
    assert not [name for name in module.state_dict() if "mean" in name]
    assert module.mean.flatten().tolist() == [1, 2, 3]
    assert module.fc8.out_features == 205
