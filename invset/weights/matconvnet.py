"""MatConvNet's networks, SimpleNN in MATLAB 5 files: the `.mat` of its model zoo.

Layout: vlfeat/matconvnet:matlab/simplenn/vl_simplenn.m and vl_simplenn_tidy.m, which renamed the older fields.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invset.weights.files import HEAD, is_hdf5, opened
from invset.weights.mat_structure import require_sound

VARIABLES = ("layers", "normalization", "classes", "meta", "net", "params", "vars")
KERNELS = ("conv", "convt")  # types of layers whose first weights are H x W x in x out (convt: out x in)
LRN = ("lrn", "normalize")
LARGEST_SIDE = 100_000  # pixels


class SimpleNN(NamedTuple):
    """A network's numbers.

    layers: name -> weights as torch has them (out, in, h, w; convt: in, out, h, w) and biases (out,), float32, of
        each layer that has some; fully connected layers are convolutions. The third is "layer3" if it has no name.
    average_image: (3,) or (3, h, w), RGB, 0-255. size: (h, w) of the images. labels: of the classes, or none.
    normalisation: name -> (size, kappa, alpha, beta) of the LRN layers; this alpha is Caffe's / size.
    types: name -> type of every layer, in order, as vl_simplenn has them: conv, relu, pool, lrn or normalize …
    """

    layers: dict[str, tuple[Tensor, ...]]
    average_image: Tensor | None
    size: tuple[int, int] | None
    labels: tuple[str, ...]
    normalisation: dict[str, tuple[float, ...]]
    types: dict[str, str]


def read_matconvnet(path: str | Path) -> SimpleNN:
    """The network in a MATLAB 5 file, with old names of fields (`filters`, `normalization`) or new (`weights`, `meta`).

    Raises:
        WeightsError: the file is missing, damaged, a DagNN, of MATLAB 7.3, or holds no weights.
    """
    with opened(Path(path)) as (file, size):
        head = file.read(HEAD)
        if head.startswith(b"MATLAB 7.3") or is_hdf5(head):
            raise ValueError(
                "is of MATLAB 7.3 (HDF5), which is not read: save(file, '-struct', 'net', '-v7') in MATLAB"
            )
        if not head.startswith(b"MATLAB 5.0"):
            raise ValueError("is no MATLAB 5 file")
        file.seek(0)
        require_sound(file, size)
        contents = _loaded(file)
        return _network(contents)


def _loaded(file: BinaryIO) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of variables that cannot be read, which are then missed below
            return dict(loadmat(file, appendmat=False, variable_names=VARIABLES))
    except Exception as error:  # scipy has no exception of its own: a damaged file may raise nearly any
        raise ValueError(f"scipy cannot read it ({type(error).__name__})") from error


def _network(contents: dict[str, Any]) -> SimpleNN:
    net = contents.pop("net", None)
    if "layers" not in contents and _is_struct(net):
        contents = {name: net.flat[0][name] for name in net.dtype.names}
    layers = contents.pop("layers", None)
    if "params" in contents or (_is_struct(layers) and "block" in layers.dtype.names):
        raise ValueError("is a DagNN, and only SimpleNN is read")
    if not _is_cell(layers):
        raise ValueError("holds no `layers`, the cell array that a SimpleNN of MatConvNet has")
    weights: dict[str, tuple[Tensor, ...]] = {}
    normalisation: dict[str, tuple[float, ...]] = {}
    types: dict[str, str] = {}
    for number in range(layers.size):
        layer = layers.flat[number]
        layers.flat[number] = None  # read, and no longer kept
        name, type_ = _text(_field(layer, "name")) or f"layer{number + 1}", _text(_field(layer, "type"))
        found = _weights(layer, name, type_)
        if name in weights or name in normalisation:
            raise ValueError(f"two layers are named {name!r}")
        types.setdefault(name, type_)
        if found:
            weights[name] = found
        elif type_ in LRN:
            normalisation[name] = tuple(_numbers(_field(layer, "param"), f"`param` of {name}").ravel().tolist())
            if len(normalisation[name]) != 4:
                raise ValueError(f"`param` of {name} should be 4 numbers, and is {len(normalisation[name])}")
    if not weights:
        raise ValueError("holds no weights")
    meta = contents.get("meta")
    scaling = _field(meta, "normalization") if _is_struct(meta) else contents.get("normalization")
    classes = _field(meta, "classes") if _is_struct(meta) else contents.get("classes")
    return SimpleNN(weights, _average(scaling), _size(scaling), _labels(classes), normalisation, types)


def _weights(layer: Any, name: str, type_: str) -> tuple[Tensor, ...]:
    cell = _field(layer, "weights")
    arrays = list(cell.flat) if _is_cell(cell) else [_field(layer, "filters"), _field(layer, "biases")]
    found = []
    for number, array in enumerate(arrays):
        if array is None or (isinstance(array, np.ndarray) and array.size == 0):
            continue
        values = _numbers(array, f"the weights of {name}")
        if type_ in KERNELS and number == 0:
            # MATLAB drops sides of 1 at the end.
            values = values.reshape(values.shape + (1,) * (4 - values.ndim)).transpose(3, 2, 0, 1)
        elif max(values.shape) == values.size:
            values = values.ravel()
        with np.errstate(all="ignore"):  # a double may be too large for a float
            found.append(torch.from_numpy(np.array(values, np.float32, order="C")))
    return tuple(found)


def _average(scaling: Any) -> Tensor | None:
    """(3,) or (3, h, w)."""
    array = _field(scaling, "averageImage")
    if array is None or (isinstance(array, np.ndarray) and array.size == 0):
        return None
    values = _numbers(array, "`averageImage`")
    if values.size == 3:
        values = values.reshape(3)
    elif values.ndim == 3 and values.shape[2] == 3:
        values = values.transpose(2, 0, 1)
    else:
        raise ValueError(f"`averageImage` is {_by(values)}, and should be h x w x 3, or three numbers")
    with np.errstate(all="ignore"):
        return torch.from_numpy(np.array(values, np.float32, order="C"))


def _size(scaling: Any) -> tuple[int, int] | None:
    array = _field(scaling, "imageSize")
    if array is None:
        return None
    sides = _numbers(array, "`imageSize`").ravel()[:2].tolist()
    if len(sides) < 2 or not all(1 <= side <= LARGEST_SIDE and side == int(side) for side in sides):
        raise ValueError("`imageSize` is no size of images")
    return int(sides[0]), int(sides[1])


def _labels(classes: Any) -> tuple[str, ...]:
    cell = _field(classes, "description")
    if cell is None or (isinstance(cell, np.ndarray) and cell.size == 0):
        return ()
    if not _is_cell(cell):
        raise ValueError("the classes' `description` is no cell array")
    return tuple(_text(entry) for entry in cell.flat)


def _field(struct: Any, name: str) -> Any:
    """Of a 1 x 1 struct; None where there is no such field, or no struct."""
    if not _is_struct(struct) or struct.size != 1 or name not in struct.dtype.names:
        return None
    return struct.flat[0][name]


def _is_struct(value: Any) -> bool:
    return isinstance(value, np.ndarray) and bool(value.dtype.names)


def _is_cell(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _text(value: Any) -> str:
    if value is None or (isinstance(value, np.ndarray) and value.size == 0):
        return ""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or value.size != 1:
        raise ValueError("a name, type or description is no text")
    return str(value.flat[0])


def _numbers(value: Any, what: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub" or not 0 < value.ndim <= 4 or not value.size:
        raise ValueError(f"{what} should be numbers, and are not")
    return value


def _by(values: np.ndarray) -> str:
    return " x ".join(map(str, values.shape))
