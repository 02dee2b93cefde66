"""Precision and compilation: what the settings mean, and that compiling changes neither results nor names."""

import functools
import os
import shutil

import pytest
import torch

from invset.errors import ConfigError
from training import compute
from training.compute import autocast, choose_device, place, resolve_auto, should_compile

SLOW = pytest.mark.skipif(
    not os.environ.get("INVSET_SLOW") or not shutil.which("g++"), reason="minutes; set INVSET_SLOW=1"
)


def test_auto_is_for_gpus():
    assert resolve_auto("auto", "cuda:1", "x") is True
    assert resolve_auto("auto", "cpu", "x") is False
    assert resolve_auto(True, "cpu", "x") is True
    assert resolve_auto(False, "cuda", "x") is False
    with pytest.raises(ConfigError, match="x is 'maybe', and may be true, false or auto"):
        resolve_auto("maybe", "cpu", "x")


def test_autocast():
    for bf16, dtype in ((True, torch.bfloat16), (False, torch.float32), ("auto", torch.float32)):
        with autocast("cpu", bf16):
            assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(compute.shutil, "which", lambda name: "/usr/bin/" + name)
    assert should_compile(True, "cpu") is True
    assert should_compile("auto", "cpu") is should_compile(False, "cuda") is False
    monkeypatch.setattr(compute.importlib.util, "find_spec", lambda name: None)
    assert should_compile("auto", "cuda") is False
    with pytest.raises(ConfigError, match=r"torch\.compile needs triton here"):
        should_compile(True, "cuda")
    monkeypatch.setattr(compute.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"torch\.compile needs a C\+\+ compiler here"):
        should_compile(True, "cpu")


def test_places(monkeypatch):
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="device=cud: not to be had here"):
        choose_device("cud")
    images = torch.zeros(1, 3, 2, 2)
    assert place(images, "auto", "cpu") is images
    assert place(images, "auto", "meta").device.type == "meta"
    assert place(images, "cpu", "meta") is images
    with pytest.raises(ConfigError, match="data_device is cuda, and may be cpu, cpu or auto"):
        place(images, "cuda", "cpu")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo looks at an input's
@pytest.mark.parametrize(
    ("backend", "build"),
    [
        ("eager", "network_training"),
        pytest.param("eager", "generator_training", marks=SLOW),
        pytest.param("inductor", "network_training", marks=SLOW),
        pytest.param("inductor", "generator_training", marks=SLOW),
    ],
)
def test_compiled_steps_are_the_steps(backend, build, images, request, monkeypatch):
    """Traced whole, without a break or a new name; the backend "eager" needs no compiler."""
    build = request.getfixturevalue(build)
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
