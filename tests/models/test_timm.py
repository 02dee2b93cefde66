"""timm's own modules, built and run by timm, are the oracle. Nothing is fetched."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms import Normalize

from invset.errors import ConfigError, WeightsError
from invset.models.random_weights import drawing
from invset.models.timm import timm_network
from invset.models.unit import parse_unit

timm = pytest.importorskip("timm")


def some_images(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("resnet18", 32, {"conv1": (64, 16, 16), "layer4": (512, 1, 1), "fc": (1000,), "logits": (1000,)}),
        (
            "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
            64,
            {"blocks.3.mlp": (192, 17), "norm": (192, 17), "head": (1000,)},
        ),
        ("mixer_s32_224", None, {"blocks.0": (512, 49), "head": (1000,)}),
    ],
)
def test_layers_and_random_weights(name: str, size: int | None, expected: dict[str, tuple[int, ...]]) -> None:
    before = torch.get_rng_state()
    network = timm_network(name, "random", size=size)
    assert torch.equal(before, torch.get_rng_state())
    assert {layer: network.shapes[layer] for layer in expected} == expected
    outputs = network.read(["logits"], some_images(size or 224, 6))["logits"]
    assert outputs.isfinite().all()
    assert outputs.std(dim=0).mean() > 0.05 * outputs.std(dim=1).mean()
    assert parse_unit("logits:981", network).label == "volcano"


def test_a_vits_units_are_at_patches() -> None:
    network = timm_network("vit_tiny_patch16_224", "random")
    assert parse_unit("norm:12", network).describe() == "norm:12 at token 106 of 197"
    assert network.input_shape == (3, 224, 224)
    half = torch.full((1, 3, 1, 1), 0.5)
    assert not network.colours.encode(half).any()  # its mean is 0.5, not ImageNet's


def test_a_file_of_any_number_of_classes(tmp_path: Path) -> None:
    with drawing(0):
        module = timm.create_model("resnet18", num_classes=5, zero_init_last=False).eval()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    images = some_images(64)
    network = timm_network("resnet18", tmp_path / "model.safetensors", size=64)
    with torch.no_grad():
        expected = module(Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(images))
    torch.testing.assert_close(network.read(["fc"], images)["fc"], expected)
    assert network.shapes["logits"] == (5,)
    assert not network.labels
    with pytest.raises(WeightsError, match=r"model.safetensors: .* should be .* These are not that network's weights"):
        timm_network("resnet26", tmp_path / "model.safetensors", size=64)


def test_pretrained_weights_are_left_to_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = timm.create_model, []

    def create_model(name: str, pretrained: bool = False, **options: Any) -> Any:
        asked.append((name, pretrained, options))
        return create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create_model)
    assert timm_network("resnet18.a1_in1k", size=32).files == ()
    timm_network("vit_tiny_patch16_224", size=64)
    assert asked == [("resnet18.a1_in1k", True, {}), ("vit_tiny_patch16_224", True, {"img_size": 64})]


def test_without_a_network_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(*_arguments: Any, **_options: Any) -> Any:
        raise OSError("We couldn't connect\nand so on")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(
        WeightsError, match=r"takes from timm/resnet18.a1_in1k \(We couldn't connect\).*HF_HOME.*path as the weights"
    ):
        timm_network("resnet18")


def test_offline_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is laid out as the hub's library documents it, whose own settings are read once, on import."""
    constants = pytest.importorskip("huggingface_hub").constants
    with drawing(0):
        module = timm.create_model("test_resnet", pretrained=False).eval()
    kept = tmp_path / "models--timm--test_resnet.r160_in1k"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0" * 40)
    file = kept / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file(module.state_dict(), file)
    monkeypatch.setenv("INVSET_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: pytest.fail("asked for the network"))
    network, same = (timm_network("test_resnet.r160_in1k", weights, size=32) for weights in (None, file))
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    torch.testing.assert_close(*(one.read(["logits"], some_images(32))["logits"] for one in (network, same)))
    with pytest.raises(WeightsError, match=r"takes from timm/test_vit.r160_in1k \("):
        timm_network("test_vit.r160_in1k")


def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="timm has no network 'resnet19': did you mean resnet1"):
        timm_network("resnet19", "random")
    with pytest.raises(ConfigError, match=r"timm has no weights 'resnet18.a9_in1k': did you mean resnet18.a"):
        timm_network("resnet18.a9_in1k", "random")
    with pytest.raises(ConfigError, match="network resnet18 cannot be run on -1 pixels"):
        timm_network("resnet18", "random", size=-1)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"not installed \(.*timm.*\): pip install 'invset\[timm\]'"):
        timm_network("resnet18", "random")
