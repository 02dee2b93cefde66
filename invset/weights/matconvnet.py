"""MatConvNet's networks, SimpleNN in MATLAB 5 files: the `.mat` of its model zoo.

Layout: vlfeat/matconvnet:matlab/simplenn/vl_simplenn.m and vl_simplenn_tidy.m, which renamed the older fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invset.weights.formats import opened
from invset.weights.matlab import read_variables

KERNELS = ("conv", "convt")  # types of layers whose first weights are H x W x in x out (convt: out x in)


class SimpleNN(NamedTuple):
    """A network's numbers.

    layers: name -> weights as torch has them (out, in, h, w; convt: in, out, h, w) and biases (out,), float32, of
        each layer that has some; fully connected layers are convolutions. The third is "layer3" if it has no name.
    average_image: (3,) or (3, h, w), RGB, 0-255.
    types: type of every layer, in order, as vl_simplenn has them: conv, relu, pool, lrn or normalize …
    classes: (name, description) of each class, in order; of ImageNet's the name is a wnid. () of a file without them.
    """

    layers: dict[str, tuple[Tensor, ...]]
    average_image: Tensor | None
    types: list[str]
    classes: tuple[tuple[str, str], ...]


def read_matconvnet(path: str | Path) -> SimpleNN:
    """The network in a MATLAB 5 file, with old names of fields (`filters`, `normalization`) or new (`weights`, `meta`).

    Raises:
        WeightsError: the file is missing, damaged, a DagNN, of MATLAB 7.3, or holds no weights.
    """
    with opened(Path(path)) as (file, size):
        contents = read_variables(file, size)
        try:
            return _network(contents if "layers" in contents else contents["net"])
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"holds no SimpleNN of MatConvNet ({type(error).__name__}: {error})") from error


def _network(contents: dict[str, Any]) -> SimpleNN:
    weights: dict[str, tuple[Tensor, ...]] = {}
    for number, layer in enumerate(contents["layers"], 1):
        if found := _weights(layer):
            weights[layer.get("name") or f"layer{number}"] = found
    if not weights:
        raise ValueError("no layer has weights")
    meta = contents.get("meta", contents)
    average = meta.get("normalization", {}).get("averageImage")
    if average is not None:
        average = _tensor(average.ravel() if average.size == 3 else average.transpose(2, 0, 1))
    return SimpleNN(weights, average, [layer["type"] for layer in contents["layers"]], _classes(meta.get("classes")))


def _classes(classes: Any) -> tuple[tuple[str, str], ...]:
    columns = [classes.get(field) for field in ("name", "description")] if isinstance(classes, dict) else []
    texts = [one for one in columns if isinstance(one, list) and all(isinstance(text, str) for text in one)]
    return tuple(zip(texts[0], texts[-1], strict=False)) if texts else ()


def _weights(layer: dict[str, Any]) -> tuple[Tensor, ...]:
    found: list[Tensor] = []
    for values in layer.get("weights") or [layer.get("filters"), layer.get("biases")]:
        if values is None or not values.size:
            continue
        if layer["type"] in KERNELS and not found:
            # MATLAB drops sides of 1 at the end.
            values = values.reshape(values.shape + (1,) * (4 - values.ndim)).transpose(3, 2, 0, 1)
        elif max(values.shape) == values.size:
            values = values.ravel()
        found.append(_tensor(values))
    return tuple(found)


def _tensor(values: np.ndarray) -> Tensor:
    with np.errstate(all="ignore"):  # a double may be too large for a float
        return torch.from_numpy(np.array(values, np.float32, order="C"))
