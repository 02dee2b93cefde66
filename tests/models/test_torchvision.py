"""torchvision's own modules, built and run by torchvision, are the oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.transforms import Normalize

from invset.errors import ConfigError, WeightsError
from invset.models.labels import class_names
from invset.models.network import Network
from invset.models.random_weights import drawing
from invset.models.torchvision import _built, _class_count, _renamed, aliases, torchvision_network
from invset.models.unit import parse_unit
from invset.weights.known import Weights

VGGS = {  # convolutions in each block: Simonyan & Zisserman 2015, table 1
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
WIDTHS = (64, 128, 256, 512, 512)


def some_images(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(size))


def theirs(name: str, **options: Any) -> nn.Module:
    """As torchvision builds it, with the weights that it draws and noise for all that begins at 0 or 1."""
    with drawing(0):
        module: nn.Module = models.get_model(name, weights=None, **options)
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                if tensor.is_floating_point() and bool((tensor == tensor.flatten()[0]).all()):
                    tensor.add_(torch.rand(tensor.shape) * 0.1)
    return module.eval()


def saved(state: dict[str, Tensor], folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(state, path)
    return path


def logits(network: Network, images: Tensor) -> Tensor:
    return network.read(["logits"], images)["logits"]


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        (
            "alexnet",
            64,
            {"conv1": (64, 15, 15), "pool1": (64, 7, 7), "conv5": (256, 3, 3), "fc6": (4096,), "fc8": (1000,)},
        ),
        ("resnet18", 64, {"conv1": (64, 32, 32), "layer4.1": (512, 2, 2), "avgpool": (512, 1, 1), "fc": (1000,)}),
        ("squeezenet1_1", 64, {"features.12": (512, 3, 3), "classifier.1": (1000, 3, 3), "logits": (1000,)}),
        ("vit_b_32", 64, {"conv_proj": (768, 2, 2), "encoder.ln": (768, 5), "heads.head": (1000,)}),
        ("swin_t", 64, {"features.0": (96, 16, 16), "features.7": (768, 2, 2), "norm": (768, 2, 2), "head": (1000,)}),
        ("regnet_y_400mf", 64, {"stem": (32, 32, 32), "trunk_output": (440, 2, 2), "fc": (1000,)}),
        ("mnasnet0_5", 32, {"layers": (1280, 1, 1), "classifier": (1000,)}),
        ("googlenet", 32, {"inception3a": (256, 4, 4), "fc": (1000,)}),
        ("densenet121", 32, {"features.norm5": (1024, 1, 1), "classifier": (1000,)}),
    ],
)
def test_layers_and_random_weights(name: str, size: int, expected: dict[str, tuple[int, ...]]) -> None:
    before = torch.get_rng_state()
    network = torchvision_network(name, "random", size=size)
    assert torch.equal(before, torch.get_rng_state())
    assert {layer: network.shapes[layer] for layer in expected} == expected
    assert not any(tensor.is_meta for tensor in network.module.state_dict().values())
    outputs = logits(network, some_images(size, 6))
    assert outputs.isfinite().all()
    assert outputs.abs().max() < 1e4
    assert outputs.std(dim=0).mean() > 0.01 * outputs.std(dim=1).mean()  # varies between images
    assert len(network.labels["logits"]) == 1000
    assert network.logit_scales == {}
    assert parse_unit("logits:volcano", network).describe() == "logits:981 volcano"


def test_the_classes_of_a_file_are_counted_where_shapes_tell() -> None:
    assert _class_count("resnet18", 32, False, {"fc.weight": torch.zeros(11, 512)}) == 11
    assert _class_count("resnet18", 32, False, {"else": torch.zeros(3)}) == 1000


def test_random_weights_are_of_their_seed() -> None:
    images = some_images(32)
    first, again, other = (
        logits(torchvision_network("shufflenet_v2_x0_5", "random", size=32, random_seed=seed), images)
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


@pytest.mark.parametrize("name", [f"{name}{norm}" for name in VGGS for norm in ("", "_bn")])
def test_vggs_have_the_fields_names(name: str) -> None:
    module: Any = _built(name, 224, 10)
    found, blocks = aliases(module), VGGS[name.removesuffix("_bn")]
    convolutions = [f"conv{block}_{n}" for block, count in enumerate(blocks, 1) for n in range(1, count + 1)]
    assert sorted(found) == sorted([*convolutions, *(f"pool{n}" for n in range(1, 6)), "fc6", "fc7", "fc8"])
    widths = [width for width, count in zip(WIDTHS, blocks, strict=True) for _ in range(count)]
    for alias, width in zip(convolutions, widths, strict=True):
        index = int(found[alias].removeprefix("features."))
        assert isinstance(module.features[index], nn.ReLU)
        assert module.features[index - (2 if name.endswith("bn") else 1)].out_channels == width
    assert [found[alias] for alias in ("fc6", "fc7", "fc8")] == ["classifier.1", "classifier.4", "classifier.6"]


def test_alexnets_names_are_after_the_relu() -> None:
    network = torchvision_network("alexnet", "random", size=64)
    module: Any = network.module
    images = some_images(64)
    with torch.no_grad():
        maps = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(images)
        before = module.features[:11](maps)
        flat = module.avgpool(module.features[:13](maps)).flatten(1)
        fc6, fc8 = module.classifier[1](flat).clamp(min=0), module.classifier(flat)
    outputs = network.read(["features.10", "conv5", "pool5", "fc6", "fc8", "logits"], images)
    assert before.min() < 0
    torch.testing.assert_close(outputs["features.10"], before)
    torch.testing.assert_close(outputs["conv5"], before.clamp(min=0))
    torch.testing.assert_close(outputs["pool5"], module.features[12](before.clamp(min=0)))
    torch.testing.assert_close(outputs["fc6"], fc6)
    torch.testing.assert_close(outputs["fc8"], fc8)
    torch.testing.assert_close(outputs["logits"], fc8)
    assert list(network.labels) == ["fc8", "classifier.6", "classifier", "logits"]


def test_a_resnets_conv1_is_its_own() -> None:
    network = torchvision_network("resnet18", "random", size=32)
    assert network.layers["conv1"] == "conv1"
    assert "fc8" not in network.layers
    assert list(network.labels) == ["fc", "logits"]


def old_densenet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names as in torchvision's published files; and BatchNorms without counts, as before PyTorch 0.4.1."""
    for part in ("norm", "conv"):
        for number in "12":
            state = {
                name.replace(f".{part}{number}.", f".{part}.{number}.") if "denselayer" in name else name: value
                for name, value in state.items()
            }
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


def old_vit(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): v for n, v in state.items()}


@pytest.mark.parametrize(("name", "rename"), [("densenet121", old_densenet), ("vit_b_32", old_vit)])
def test_published_files_have_older_names(name: str, rename: Callable[..., Any]) -> None:
    state = _built(name, 224, 1000).state_dict()
    old = rename(state)
    assert old.keys() - state.keys()
    assert {_renamed(key) for key in old} == {key for key in state if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("resnet18", 32, {}),
        ("squeezenet1_1", 32, {}),
        ("mnasnet0_5", 32, {}),
        ("regnet_x_400mf", 32, {}),
        ("googlenet", 64, {"init_weights": False, "transform_input": True}),
    ],
)
def test_a_file_of_any_number_of_classes(name: str, size: int, options: dict[str, Any], tmp_path: Path) -> None:
    module, images = theirs(name, num_classes=7, **options), some_images(size)
    network = torchvision_network(name, saved(module.state_dict(), tmp_path), size=size)
    with torch.no_grad():
        expected = module(Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(images))
    assert expected.shape == (2, 7)
    torch.testing.assert_close(logits(network, images), expected)
    assert network.files == (tmp_path / "weights.pth",)
    assert not network.labels


def test_a_file_of_names(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\nthree\n")
    path = saved(theirs("squeezenet1_1", num_classes=3).state_dict(), tmp_path)
    network = torchvision_network("squeezenet1_1", path, names, size=32)
    assert parse_unit("logits:two", network).index == 1


def test_the_default_weights_are_asked_for_by_their_address(tmp_path: Path) -> None:
    path = saved(theirs("shufflenet_v2_x1_5").state_dict(), tmp_path)
    asked: list[Weights] = []

    def find(weights: Weights) -> Path:
        asked.append(weights)
        return path

    network = torchvision_network("shufflenet_v2_x1_5", find=find)
    assert [source.url for weights in asked for source in weights.sources] == [
        models.ShuffleNet_V2_X1_5_Weights.DEFAULT.url
    ]
    assert network.files == (path,)
    assert network.input_shape == (3, 224, 224)


def test_colours_and_sizes_are_those_of_the_weights_own_preset() -> None:
    network = torchvision_network("mobilenet_v3_small", "random")
    preset = models.MobileNet_V3_Small_Weights.DEFAULT.transforms()
    flat = some_images(1, 4).expand(4, 3, 224, 224)  # which no resizing changes
    assert network.input_shape == (3, 224, 224)
    torch.testing.assert_close(network.colours.encode(flat), preset(flat), rtol=0, atol=1e-5)


def test_imagenets_labels_are_those_of_all_default_weights() -> None:
    for name in models.list_models(module=models):
        assert tuple(models.get_model_weights(name).DEFAULT.meta["categories"]) == class_names()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no classification network 'resnet51': did you mean resnet50"):
        torchvision_network("resnet51", "random")
    with pytest.raises(ConfigError, match="no classification network 'raft_large'"):
        torchvision_network("raft_large", "random")
    with pytest.raises(ConfigError, match=r"network vit_b_32 cannot be built for 65 pixels \(.*\): give another size"):
        torchvision_network("vit_b_32", "random", size=65)
    with pytest.raises(ConfigError, match=r"network alexnet cannot be run on images of 8x8 pixels"):
        torchvision_network("alexnet", "random", size=8)
    state = theirs("squeezenet1_1", num_classes=3).state_dict()
    with pytest.raises(WeightsError, match=r"weights.pth: conv1.weight should be .* These are not that network's"):
        torchvision_network("resnet18", saved(state, tmp_path))


def test_gradients_reach_the_image() -> None:
    network = torchvision_network("resnet18", "random", size=32)
    images = some_images(48).requires_grad_(True)
    (gradient,) = torch.autograd.grad(logits(network, images)[:, 5].sum(), images)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 0
