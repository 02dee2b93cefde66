"""Where and how a training computes: precision and compilation, and no waiting for the device."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from invset.assemble.device import find_device
from invset.errors import ConfigError

P = ParamSpec("P")
R = TypeVar("R")


def choose_device(name: str) -> str:
    """The device of that name; auto is cuda where there is one. Raises ConfigError: there is none."""
    return str(find_device(name))


def place(images: Tensor, data_device: str, device: str) -> Tensor:
    """The images where they wait for the training on `device`: there (auto), or in main memory (cpu).

    Raises:
        ConfigError: somewhere else.
    """
    if data_device not in ("auto", "cpu", device):
        raise ConfigError(f"data_device is {data_device}, and may be cpu, {device} or auto.")
    return images.to(device if data_device == "auto" else data_device)


def is_cuda(device: str) -> bool:
    """Whether it is a GPU ("cuda", "cuda:1")."""
    return torch.device(device).type == "cuda"


def resolve_auto(setting: bool | str, device: str, name: str) -> bool:
    """The setting as true or false: auto is true on a GPU and false on the CPU.

    Raises:
        ConfigError: it is something else.
    """
    if setting == "auto":
        return is_cuda(device)
    if isinstance(setting, bool):
        return setting
    raise ConfigError(f"{name} is {setting!r}, and may be true, false or auto.")


def should_compile(setting: bool | str, device: str) -> bool:
    """Whether to compile; auto is true on a GPU where torch.compile has what it needs.

    Raises:
        ConfigError: not true, false or auto; or true, and torch.compile lacks something.
    """
    if not resolve_auto(setting, device, "compile"):
        return False
    compilers = [os.environ.get("CXX", "g++"), os.environ.get("CC", "gcc"), "clang++", "clang"]
    missing = ""
    if not any(map(shutil.which, compilers)):
        missing = "a C++ compiler"
    elif is_cuda(device) and importlib.util.find_spec("triton") is None:
        missing = "triton"
    if missing and setting is True:
        raise ConfigError(
            f"compile is true, and torch.compile needs {missing} here. Install it, or take compile=false."
        )
    return not missing


def compile_if(enabled: bool, function: Callable[P, R]) -> Callable[P, R]:
    """The function or module compiled for each shape it meets; the module itself and its names stay as they are."""
    return torch.compile(function, dynamic=False) if enabled else function


def autocast(device: str, bf16: bool | str) -> torch.autocast:
    """Half precision where `bf16` is true, or auto on a GPU."""
    return torch.autocast(
        torch.device(device).type, torch.bfloat16, enabled=resolve_auto(bf16, device, "settings.bf16")
    )


@contextmanager
def allow_speed(device: str) -> Iterator[None]:
    """On a GPU, use TF32 in what stays float32, and the quickest algorithm for each shape."""
    precision, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    if is_cuda(device):
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.benchmark = benchmark


def send(tensor: Tensor, device: str | torch.device) -> Tensor:
    """The tensor on a device, copied without waiting for what the device still has to do."""
    return tensor.to(device, non_blocking=True)
