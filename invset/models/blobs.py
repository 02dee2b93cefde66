"""Weights by layer, as Caffe has them, from any file; and a module of plain layers filled with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from invset.weights.caffemodel import read_caffemodel
from invset.weights.formats import kind
from invset.weights.tensors import fill, read_tensors

Module = TypeVar("Module", bound=nn.Module)
Blobs = Mapping[str, tuple[Tensor, ...]]
"""Layer -> its weight, and its bias if it has one."""


def read_blobs(path: Path) -> Blobs:
    """Of a .caffemodel, or of a file of tensors called `LAYER.weight`, `LAYER.bias`, or `LAYER.….weight`.

    Raises:
        WeightsError: the file cannot be read.
    """
    if kind(path) == "caffemodel":
        return read_caffemodel(path)
    state = read_tensors(path)
    found: dict[str, tuple[Tensor, ...]] = {}
    for part in ("weight", "bias"):
        for name, value in state.items():
            if name.endswith(f".{part}"):
                layer = name.partition(".")[0]
                found[layer] = (*found.get(layer, ()), value)
    return found


def fill_layers(build: Callable[[], Module], blobs: Blobs, path: Path, advice: str) -> Module:
    """A module whose children are called as the layers, filled; layers that it does not have are ignored, as in Caffe.

    Biases of transposed convolutions that the file leaves out are 0.

    Raises:
        WeightsError: a layer is missing, has another shape, or more than a weight and a bias.
    """
    with torch.device("meta"):
        modules = dict(build().named_modules())
    state: dict[str, Tensor] = {}
    for name, module in modules.items():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        values = blobs.get(name.partition(".")[0], ())
        for part, value in zip(("weight", "bias", "third blob"), values, strict=False):
            state[f"{name}.{part}"] = value.flatten(1) if value.ndim > 1 and isinstance(module, nn.Linear) else value
        if isinstance(module, nn.ConvTranspose2d) and module.bias is not None and values:
            state.setdefault(f"{name}.bias", torch.zeros(module.bias.shape))
    return fill(build, state, path, advice, lambda name: f"layer {name.partition('.')[0]}: {name.rpartition('.')[2]}")
