"""MatConvNet's networks, SimpleNN in MATLAB 5 files: the `.mat` of its model zoo.

Layout: vlfeat/matconvnet:matlab/simplenn/vl_simplenn.m and vl_simplenn_tidy.m, which renamed the older fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invset.weights.formats import HEAD, is_matlab_7, opened
from invset.weights.matlab import read_variables

KERNELS = ("conv", "convt")  # types of layers whose first weights are H x W x in x out (convt: out x in)
LRN = ("lrn", "normalize")


class SimpleNN(NamedTuple):
    """A network's numbers.

    layers: name -> weights as torch has them (out, in, h, w; convt: in, out, h, w) and biases (out,), float32, of
        each layer that has some; fully connected layers are convolutions. The third is "layer3" if it has no name.
    average_image: (3,) or (3, h, w), RGB, 0-255.
    normalisation: name -> (size, kappa, alpha, beta) of the LRN layers; this alpha is Caffe's / size.
    types: name -> type of every layer, in order, as vl_simplenn has them: conv, relu, pool, lrn or normalize …
    """

    layers: dict[str, tuple[Tensor, ...]]
    average_image: Tensor | None
    normalisation: dict[str, tuple[float, ...]]
    types: dict[str, str]


def read_matconvnet(path: str | Path) -> SimpleNN:
    """The network in a MATLAB 5 file, with old names of fields (`filters`, `normalization`) or new (`weights`, `meta`).

    Raises:
        WeightsError: the file is missing, damaged, a DagNN, of MATLAB 7.3, or holds no weights.
    """
    with opened(Path(path)) as (file, size):
        if is_matlab_7(file.read(HEAD)):
            raise ValueError(
                "is of MATLAB 7.3 (HDF5), which is not read: save(file, '-struct', 'net', '-v7') in MATLAB"
            )
        file.seek(0)
        contents = read_variables(file, size)
        if "layers" not in contents:
            contents = _struct(contents.get("net"))
        return _network(contents)


def _network(contents: dict[str, Any]) -> SimpleNN:
    if "params" in contents:
        raise ValueError("is a DagNN, and only SimpleNN is read")
    if not isinstance(contents.get("layers"), list):
        raise ValueError("holds no `layers`, the cell array that a SimpleNN of MatConvNet has")
    weights: dict[str, tuple[Tensor, ...]] = {}
    normalisation: dict[str, tuple[float, ...]] = {}
    types: dict[str, str] = {}
    for number, layer in enumerate(map(_struct, contents["layers"]), 1):
        name, type_ = _text(layer.get("name")) or f"layer{number}", _text(layer.get("type"))
        found = _weights(layer, name, type_)
        if name in weights or name in normalisation:
            raise ValueError(f"two layers are named {name!r}")
        types.setdefault(name, type_)
        if found:
            weights[name] = found
        elif type_ in LRN:
            normalisation[name] = tuple(_numbers(layer.get("param"), f"`param` of {name}").ravel().tolist())
            if len(normalisation[name]) != 4:
                raise ValueError(f"`param` of {name} should be 4 numbers, and is {len(normalisation[name])}")
    if not weights:
        raise ValueError("holds no weights")
    meta = _struct(contents.get("meta")) or contents
    average = _average(_struct(meta.get("normalization")).get("averageImage"))
    return SimpleNN(weights, average, normalisation, types)


def _weights(layer: dict[str, Any], name: str, type_: str) -> tuple[Tensor, ...]:
    arrays = layer.get("weights")
    found = []
    for number, array in enumerate(arrays if isinstance(arrays, list) else [layer.get("filters"), layer.get("biases")]):
        if _is_empty(array):
            continue
        values = _numbers(array, f"the weights of {name}")
        if type_ in KERNELS and number == 0:
            # MATLAB drops sides of 1 at the end.
            values = values.reshape(values.shape + (1,) * (4 - values.ndim)).transpose(3, 2, 0, 1)
        elif max(values.shape) == values.size:
            values = values.ravel()
        found.append(_tensor(values))
    return tuple(found)


def _average(array: Any) -> Tensor | None:
    """(3,) or (3, h, w)."""
    if _is_empty(array):
        return None
    values = _numbers(array, "`averageImage`")
    if values.size == 3:
        return _tensor(values.ravel())
    if values.ndim == 3 and values.shape[2] == 3:
        return _tensor(values.transpose(2, 0, 1))
    sides = " x ".join(map(str, values.shape))
    raise ValueError(f"`averageImage` is {sides}, and should be h x w x 3, or three numbers")


def _struct(value: Any) -> dict[str, Any]:
    """A struct's fields, none of anything else."""
    return value if isinstance(value, dict) else {}


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, np.ndarray) and value.size == 0)


def _text(value: Any) -> str:
    if _is_empty(value):
        return ""
    if not isinstance(value, str):
        raise ValueError("a name or type is no text")
    return value


def _numbers(value: Any, what: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or not 0 < value.ndim <= 4 or not value.size:
        raise ValueError(f"{what} should be numbers, and are not")
    return value


def _tensor(values: np.ndarray) -> Tensor:
    with np.errstate(all="ignore"):  # a double may be too large for a float
        return torch.from_numpy(np.array(values, np.float32, order="C"))
