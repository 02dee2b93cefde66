"""Precision and compilation: what the settings mean, and that compiling changes neither results nor names."""

import functools
import os
import shutil

import pytest
import torch

from invset.errors import ConfigError
from invset.training import compute
from invset.training.compute import autocast, chosen_device, compiles, place, switched_on

SLOW = not os.environ.get("INVSET_SLOW") or not shutil.which("g++")


def test_auto_is_for_gpus():
    assert switched_on("auto", "cuda:1", "x") is True
    assert switched_on("auto", "cpu", "x") is False
    assert switched_on(True, "cpu", "x") is True
    assert switched_on(False, "cuda", "x") is False
    with pytest.raises(ConfigError, match="x is 'maybe', and may be true, false or auto"):
        switched_on("maybe", "cpu", "x")


def test_autocast():
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float32), ("auto", torch.float32)):
        with autocast("cpu", bf16):
            assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(compute.shutil, "which", lambda name: "/usr/bin/" + name)
    assert compiles(True, "cpu") is True
    assert compiles("auto", "cpu") is compiles(False, "cuda") is False
    monkeypatch.setattr(compute.importlib.util, "find_spec", lambda name: None)
    assert compiles("auto", "cuda") is False
    with pytest.raises(ConfigError, match=r"torch\.compile needs triton here"):
        compiles(True, "cuda")
    monkeypatch.setattr(compute.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"torch\.compile needs a C\+\+ compiler here"):
        compiles(True, "cpu")


def test_places(monkeypatch):
    assert chosen_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="device is cud, which is not here"):
        chosen_device("cud")
    images = torch.zeros(1, 3, 2, 2)
    assert place(images, "auto", "cpu") is images
    assert place(images, "auto", "meta").device.type == "meta"
    assert place(images, "cpu", "meta") is images
    with pytest.raises(ConfigError, match="data_device is cuda, and may be cpu, cpu or auto"):
        place(images, "cuda", "cpu")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo looks at an input's
@pytest.mark.parametrize(
    "backend", ["eager", pytest.param("inductor", marks=pytest.mark.skipif(SLOW, reason="minutes; set INVSET_SLOW=1"))]
)
def test_compiled_steps_are_the_steps(backend, images, build, monkeypatch):
    """Traced whole, without a break or a new name; the backend "eager" needs no compiler, and no minutes."""
    whole = functools.partial(torch.compile, backend=backend, fullgraph=True)
    monkeypatch.setattr(compute.torch, "compile", whole)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    plain, compiled = build(images), build(images, compile=True)
    for _ in range(3):
        expected, losses = plain.step(), compiled.step()
        for name, value in expected.items():
            torch.testing.assert_close(losses[name], value, rtol=1e-2, atol=1e-2)
    for name, part in plain.state().items():
        if name in ("network", "generator", "discriminator", "average"):
            other = compiled.state()[name]
            assert list(part) == list(other)
            for key in part:
                torch.testing.assert_close(other[key], part[key], rtol=0.05, atol=0.02)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    torch._dynamo.reset()
