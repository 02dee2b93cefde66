"""Networks and generators of the user's own, made by a function that is given by its name."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invset.errors import ConfigError, InvsetError
from invset.files import user_path
from invset.models.colours import IMAGENET_DEVIATION, IMAGENET_MEAN, Colours
from invset.models.discovery import discovered_network
from invset.models.network import CodeStatistics, Generator, Network, cropped_shape
from invset.models.random_weights import drawing
from invset.weights.tensors import fill, read_tensors

RANDOM_SEED = 0  # of what the function draws: the same in each run
ADVICE = "Give the weights of what the function makes, or leave weights out for those that it puts there."


def custom_network(
    factory: str = "",
    arguments: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    size: int = 224,
    scale: float = 1.0,
    mean: float | Sequence[float] = IMAGENET_MEAN,
    deviation: float | Sequence[float] = IMAGENET_DEVIATION,
    bgr: bool = False,
) -> Network:
    """What a function returns: a module, whose layers are its modules' paths and `logits`, or a Network, as it is.

    Args:
        factory: "package.module:function", which may be in the working directory; anything that it draws from torch's
            global random state is the same each time.
        arguments: of the function.
        weights: a .pt, .pth or .safetensors of the module's state dict; None: what the function put there.
        labels: a file of the classes' names; None: ImageNet's, if there are 1000.
        size: pixels a side.
        scale: of the colours; this, mean, deviation and bgr as for `Colours`.
        mean: taken off, on that scale.
        deviation: divided by.
        bgr: blue first.

    Raises:
        ConfigError: there is no such function, or what it returns cannot be used.
        WeightsError: the file cannot be read, or holds something else.
    """
    module, files = _make(factory, arguments, weights, Network)
    if isinstance(module, Network):
        return module
    network = discovered_network(factory, module, size, Colours(scale, mean, deviation, bgr), labels, None, files)
    _require_gradient(network)
    return network


def custom_generator(
    factory: str = "",
    code: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    scale: float = 1.0,
    mean: float | Sequence[float] = 0.0,
    deviation: float | Sequence[float] = 1.0,
    bgr: bool = False,
    crop: int | None = None,
    inverts: Sequence[str] | None = None,
    bounds: Sequence[float] | None = None,
) -> Generator:
    """What a function returns: a module from codes (b, c) to images (b, 3, h, w), or a Generator, as it is.

    Args:
        factory: as for `custom_network`.
        code: c; not needed for a Generator.
        arguments: of the function.
        weights: as for `custom_network`.
        scale: of the colours; this, mean, deviation and bgr as for `Colours`, which the images are decoded from.
        mean: added, on that scale.
        deviation: multiplied by first.
        bgr: blue first.
        crop: pixels a side of the middle that is the image; None: all of it.
        inverts: the kind of network and the layer whose outputs the codes are; None: of none, and they are taken to be
            standard normal, as a GAN's.
        bounds: the lowest and highest entry of a code.

    Raises:
        ConfigError: there is no such function, or what it returns cannot be used.
        WeightsError: the file cannot be read, or holds something else.
    """
    module, files = _make(factory, arguments, weights, Generator)
    if isinstance(module, Generator):
        return module
    if not isinstance(code, int) or code < 1:
        raise ConfigError(f"{factory}: code={code}; give the numbers in a code, as code=4096.")
    shape = cropped_shape(_image_size(factory, module, code), crop)
    colours = Colours(scale, mean, deviation, bgr)
    statistics = limits = layer = None
    if inverts is None:
        statistics = CodeStatistics(torch.zeros(code), torch.ones(code), torch.empty(0, code))
    else:
        kind, name = inverts
        layer = kind, name
    if bounds is not None:
        low, high = bounds
        limits = float(low), float(high)
    return Generator(factory, module, code, shape, statistics, limits, files, colours, layer)


def _make(
    factory: str, arguments: Mapping[str, Any] | None, weights: str | Path | None, ready: type[Any]
) -> tuple[Any, tuple[Path, ...]]:
    """What the function returns, a module or what is ready for use; and the file of the module's weights.

    Raises:
        ConfigError: there is no such function, it fails, or it returns something else.
        WeightsError: the file cannot be read, or holds something else.
    """
    made = _call(ready.__name__.lower(), factory, arguments)
    if isinstance(made, ready):
        if weights is not None:
            raise ConfigError(f"{factory} returns a {ready.__name__}, which is used as it is: leave weights out.")
        return made, ()
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"factory={factory} returns {type(made).__name__}: let it return a torch.nn.Module, or invset's "
            f"{ready.__name__}."
        )
    if weights is None:
        return made, ()
    path = user_path(weights)
    return fill(lambda: made, read_tensors(path), path, ADVICE), (path,)


def _call(what: str, factory: str, arguments: Mapping[str, Any] | None) -> Any:
    path, _, name = factory.partition(":")
    if not path or not name:
        raise ConfigError(f"{what}.factory=MODULE:FUNCTION is needed, as {what}.factory=mynets:build, not '{factory}'.")
    here, given = str(Path.cwd()), dict(arguments or {})
    if here not in sys.path:
        sys.path.insert(0, here)  # as by `python -m`
    try:
        function: Any = import_module(path)
        for part in name.split("."):
            function = getattr(function, part)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"factory={factory}: cannot be imported: {_describe(error)}. It is looked for in {here}, in PYTHONPATH and "
            "in what is installed."
        ) from error
    try:
        with drawing(RANDOM_SEED):
            return function(**given)
    except InvsetError:
        raise
    except Exception as error:  # of the user's code: anything
        call = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ConfigError(f"factory={factory}: {name}({call}) fails: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    """What was raised, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def _require_gradient(network: Network) -> None:
    """Sampling climbs: some layer's output has to depend on the image, differentiably. Raises ConfigError."""
    last = list(network.layers)[-1]
    images = torch.full((1, *network.input_shape), 0.5, requires_grad=True)
    try:
        with torch.enable_grad():
            torch.autograd.grad(network.read([last], images)[last].sum(), images)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"network {network.name}: no gradient comes from {last} back to the image ({_describe(error)}); let it "
            "compute with torch alone, without no_grad and numpy."
        ) from error


def _image_size(factory: str, module: nn.Module, code: int) -> tuple[int, int]:
    """(h, w) of what the module makes of a code of zeros. Raises ConfigError where that is no image."""
    parameter = next(module.parameters(), torch.zeros(()))
    codes = torch.zeros(1, code, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad():
        images = module.eval()(codes)
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or tuple(images.shape[:2]) != (1, 3):
        gave = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ConfigError(f"generator {factory} makes {gave} of a code of {code}, not an image (1, 3, height, width).")
    return images.shape[2], images.shape[3]


NETWORKS = {"custom": custom_network}
GENERATORS = {"custom": custom_generator}
