"""Factories in files of a working folder, as users have them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from invset.errors import ConfigError, WeightsError
from invset.models.registry import build_generator, build_network

FILE = """
import torch
from torch import nn
from invset.models.network import Generator, Network


def net(classes=3):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 7 * 7, classes))


def gen(width=8):
    return nn.Sequential(nn.Linear(6, 3 * width**2), nn.Unflatten(1, (3, width, width)))


def network():
    return Network("mine", nn.Flatten(), {"flat": ""}, (3, 4, 4))


def generator():
    return Generator("mine", gen(), 6, (3, 8, 8))


def broken():
    raise KeyError("oops")


def number():
    return 5


def flat():
    return nn.Linear(6, 12)


class Group:
    net = staticmethod(net)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("mynets", "mypackage", "mypackage.nets", "mybroken", "myimports", "stuck"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "mynets.py").write_text(FILE)
    (tmp_path / "mypackage").mkdir()
    (tmp_path / "mypackage" / "nets.py").write_text(FILE)
    (tmp_path / "mybroken.py").write_text("1 / 0\n")
    (tmp_path / "myimports.py").write_text("import nowhere\n")
    return tmp_path


def test_a_module_of_the_working_folder() -> None:
    before = torch.get_rng_state()
    network = build_network("custom", factory="mynets:net", size=9)
    again = build_network("custom", factory="mypackage.nets:Group.net", size=9, arguments={"classes": 3})
    assert torch.equal(before, torch.get_rng_state())
    assert dict(network.shapes) == {"0": (4, 7, 7), "1": (4, 7, 7), "2": (196,), "3": (3,), "logits": (3,)}
    images = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    first, second = (one.read(["logits"], images)["logits"] for one in (network, again))
    assert torch.equal(first, second)  # what it draws is the same each time
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        by_hand = network.module((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))
    torch.testing.assert_close(first, by_hand)


def test_weights_labels_and_colours(folder: Path) -> None:
    state = {name: torch.full_like(value, 0.01) for name, value in _state(3).items()}
    torch.save(state, "weights.pt")
    Path("names.txt").write_text("cat\ndog\ncow\n")
    options: dict[str, Any] = {"factory": "mynets:net", "size": 9, "weights": "weights.pt", "labels": "names.txt"}
    network = build_network("custom", **options, scale=255, mean=[1, 2, 3], deviation=2, bgr=True)
    assert network.labels["logits"] == ("cat", "dog", "cow")
    assert network.files == (Path("weights.pt"),)
    images = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    bytes_bgr = (images.flip(1) * 255 - torch.tensor([1.0, 2, 3]).view(3, 1, 1)) / 2
    convolved = 0.01 * bytes_bgr.sum(1).unfold(1, 3, 1).unfold(2, 3, 1).sum((3, 4)) + 0.01
    expected = 4 * 0.01 * convolved.clamp(min=0).sum() + 0.01
    torch.testing.assert_close(network.read(["logits"], images)["logits"], expected.expand(1, 3), rtol=1e-4, atol=0)
    with pytest.raises(WeightsError, match=r"weights.pt: 3.weight should be"):
        build_network("custom", **options, arguments={"classes": 4})


def _state(classes: int) -> dict[str, torch.Tensor]:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, device="meta"), nn.Flatten(), nn.Flatten(), nn.Linear(196, classes))
    return {name: torch.empty(value.shape) for name, value in module.state_dict().items()}


def test_a_network_and_a_generator_are_used_as_they_are() -> None:
    assert build_network("custom", factory="mynets:network").shapes == {"flat": (48,)}
    assert build_generator("custom", factory="mynets:generator").name == "mine"
    with pytest.raises(ConfigError, match="returns a Network, which is used as it is: leave weights out"):
        build_network("custom", factory="mynets:network", weights="weights.pt")
    with pytest.raises(ConfigError, match=r"returns a Generator, .*leave weights out"):
        build_generator("custom", factory="mynets:generator", weights="weights.pt")


def test_a_generator_is_measured() -> None:
    options: dict[str, Any] = {"factory": "mynets:gen", "code": 6, "arguments": {"width": 10}}
    generator = build_generator("custom", **options, scale=255, mean=[10, 20, 30], bgr=True)
    assert (generator.code_size, generator.image_shape) == (6, (3, 10, 10))
    codes = torch.rand(2, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        raw = generator.module(codes)
    expected = torch.stack([raw[:, 2] + 30, raw[:, 1] + 20, raw[:, 0] + 10], dim=1) / 255
    torch.testing.assert_close(generator(codes), expected)
    cropped = build_generator("custom", **options, mean=0, crop=4, inverts=["caffenet", "fc6"], bounds=[0, 30])
    torch.testing.assert_close(cropped(codes), raw[:, :, 3:7, 3:7])
    assert (cropped.inverts, cropped.code_bounds, cropped.image_shape) == (("caffenet", "fc6"), (0.0, 30.0), (3, 4, 4))
    assert cropped.statistics is None
    with pytest.raises(
        ConfigError, match=r"pixels from -\S+ to \S+: .* as generator.options.mean=0.5 gen.*mean=0 clamps"
    ):
        build_generator("custom", **options)
    assert generator.statistics is not None  # of standard normal codes
    assert generator.statistics.deviation.tolist() == [1.0] * 6


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("mynets", "network.factory=MODULE:FUNCTION is needed, as network.factory=mynets:build, not 'mynets'"),
        ("nomodule:net", "cannot be imported: ModuleNotFoundError: No module named 'nomodule' .*PYTHONPATH"),
        ("mynets:nothing", "cannot be imported: AttributeError: module 'mynets' has no attribute 'nothing'"),
        ("mybroken:net", r"mybroken:net: cannot be imported: ZeroDivisionError: division by zero \(.*mybroken.py:1\)"),
        ("myimports:net", r"myimports:net: cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("mynets:broken", r"factory=mynets:broken: broken\(\) fails: KeyError: 'oops' \(.*mynets.py:\d+\)"),
        ("mynets:number", r"factory=mynets:number returns int: let it return a torch.nn.Module, or invset's Network\."),
    ],
)
def test_factories_that_cannot_be_used(factory: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network("custom", factory=factory)


def test_arguments_and_sizes_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"mynets:net: net\(colour='red'\) fails: TypeError: .*unexpected keyword"):
        build_network("custom", factory="mynets:net", arguments={"colour": "red"})
    with pytest.raises(ConfigError, match="network mynets:net cannot be run on images of 2x2 pixels"):
        build_network("custom", factory="mynets:net", size=2)
    with pytest.raises(ConfigError, match=r"code=None; give the numbers in a code, as code=4096"):
        build_generator("custom", factory="mynets:gen")
    with pytest.raises(
        ConfigError, match=r"mynets:gen cannot be run on codes .2, 5. .RuntimeError: mat1 and mat2 shapes"
    ):
        build_generator("custom", factory="mynets:gen", code=5)
    with pytest.raises(ConfigError, match=r"mynets:flat makes \(2, 12\) of codes \(2, 6\), not images"):
        build_generator("custom", factory="mynets:flat", code=6)
    with pytest.raises(ConfigError, match="crop is 9; the generator's images are 8x8, so give 1 to 8"):
        build_generator("custom", factory="mynets:gen", code=6, crop=9)
    for name, value in (("bounds", [3]), ("inverts", "caffenet")):
        with pytest.raises(ConfigError, match=f"cannot be built with .*{name}=.*values to unpack"):
            build_generator("custom", factory="mynets:gen", code=6, **{name: value})
    with pytest.raises(ConfigError, match=r"custom cannot be built with .*arguments='width'"):
        build_generator("custom", factory="mynets:gen", code=6, arguments="width")
    with pytest.raises(ConfigError, match=r"generator.factory=MODULE:FUNCTION is needed"):
        build_generator("custom", factory="")


@pytest.mark.parametrize(
    "body",
    ["with torch.no_grad():\n            return self.layer(x.flatten(1))", "return torch.tensor(x.flatten(1).numpy())"],
)
def test_a_network_without_a_gradient_is_refused(folder: Path, body: str) -> None:
    (folder / "stuck.py").write_text(
        "import torch\n\nclass Stuck(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.layer = torch.nn.Linear(3, 2)\n    def forward(self, x):\n        {body}\n"
    )
    with pytest.raises(ConfigError, match="no gradient comes from"):
        build_network("custom", factory="stuck:Stuck", size=1)
