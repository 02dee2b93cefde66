from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.errors import ConfigError, WeightsError
from invset.models.mini import DATA, load_generator, load_network
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit


def test_mini_network_reads_as_the_module_does() -> None:
    network = build_network("mini")
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = network.read(["fc8", "fc6"], images)
        assert torch.equal(outputs["fc8"], load_network()(images))
    assert outputs["fc6"].min() >= 0
    assert network.shapes["fc6"] == (512,)
    assert network.shapes["conv5"][0] == 128


def test_mini_units_have_the_papers_numbers() -> None:
    network = build_network("mini")
    assert parse_unit("fc8:981", network).describe() == "fc8:981 volcano"
    assert parse_unit("fc8:toilet_tissue", network).index == 999
    numbers = [parse_unit(f"fc8:{label}", network).index for label in ("cardoon", "monastery", "toilet seat")]
    assert numbers == [946, 663, 861]


def test_mini_generator_carries_natural_codes() -> None:
    generator = build_generator("mini")
    assert generator.statistics is not None
    bank = generator.statistics.bank
    assert bank.shape[1] == generator.code_size == 512
    assert generator.code_bounds == (0.0, bank.max().item())
    with torch.no_grad():
        images = generator.module(bank[:2])
        assert torch.equal(images, load_generator()(bank[:2]))
    assert images.shape == (2, *generator.image_shape)


def test_class_names_of_a_file(tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"n{i}\tthing {i}\n" for i in range(1000)))
    assert parse_unit("fc8:thing_3", build_network("mini", labels=classes)).index == 3
    short = tmp_path / "short.txt"
    short.write_text("n1\tone\n")
    with pytest.raises(ConfigError, match="1000 units but 1 labels"):
        build_network("mini", labels=short)


def test_options_reach_the_builder(tmp_path: Path) -> None:
    assert build_network("linear", shape=[3, 4, 2], random_seed=1).input_shape == (3, 4, 2)
    assert build_generator("pixels", shape=(3, 4, 2)).code_size == 24
    for absent in (tmp_path / "none.safetensors", "random"):
        with pytest.raises(WeightsError, match="there is no such file of weights"):
            build_network("mini", weights=absent)


@pytest.mark.parametrize(
    ("build", "kind", "options", "message"),
    [
        (build_generator, "ppgn", {"crop": "abc"}, "crop is abc; the generator's images are 256x256"),
        (build_generator, "deepsim", {"layer": "fc9"}, "there is none for layer 'fc9'"),
        (build_generator, "deepsim", {"layer": 6}, "deepsim cannot be built with layer=6: "),
        (build_network, "caffenet", {"weights": "random", "classes": "ten"}, "cannot be built with .*classes='ten': "),
        (build_network, "linear", {"random_seed": "abc"}, "linear cannot be built with random_seed='abc': "),
        (build_network, "linear", {"random_seed": 2**70}, f"linear cannot be built with random_seed={2**70}: Overflow"),
        (build_network, "linear", {"shape": 64}, "linear cannot be built with shape=64: "),
        (
            build_generator,
            "pixels",
            {"shape": [3, 4]},
            r"pixels: shape=\[3, 4\] is no shape of images; give \[3",
        ),
        (build_generator, "pixels", {"shape": [3, 0, 4]}, r"pixels: shape=\[3, 0, 4\] is no shape"),
        (build_network, "linear", {"weights": "foo.pt"}, "linear cannot be built with weights='foo.pt': "),
        (build_network, "torchvision", {"name": 5}, "torchvision cannot be built with name=5: "),
        (build_network, "caffenet", {"weights": "caffenett"}, "there is no file 'caffenett', .*did you mean caffenet"),
    ],
)
def test_values_of_the_wrong_kind(
    build: Callable[..., object], kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(kind, **options)


def test_home_is_spelled_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("network", "generator"):
        (tmp_path / f"{name}.safetensors").symlink_to(DATA / f"{name}.safetensors")
    (tmp_path / "names.txt").write_text("".join(f"thing {i}\n" for i in range(1000)))
    network = build_network("mini", weights="~/network.safetensors", labels="~/names.txt")
    assert network.files == (tmp_path / "network.safetensors",)
    assert network.labels["fc8"][7] == "thing 7"
    assert build_generator("mini", weights="~/generator.safetensors").files == (tmp_path / "generator.safetensors",)
    for kind in ("torchvision", "timm"):
        with pytest.raises(WeightsError, match=f"{tmp_path}/absent.pt: there is no such file"):
            build_network(kind, name="resnet18", weights="~/absent.pt")
    with pytest.raises(WeightsError, match=f"{tmp_path}/absent.binaryproto: there is no such file"):
        build_network("caffenet", weights="random", mean="~/absent.binaryproto")


def test_unknown_names_and_options() -> None:
    with pytest.raises(ConfigError, match="no network 'minni': did you mean mini"):
        build_network("minni")
    with pytest.raises(ConfigError, match="no generator 'linear': there are custom, deepsim, mini"):
        build_generator("linear")
    with pytest.raises(ConfigError, match="pixels has no option 'size': it has shape"):
        build_generator("pixels", size=3)
