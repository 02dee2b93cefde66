"""Networks and generators of the user's own, from a function named on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from invset.errors import ConfigError
from invset.files import user_path
from invset.models.colours import IMAGENET_DEVIATION, IMAGENET_MEAN, Colours
from invset.models.discovery import discovered_network
from invset.models.factories import made, told
from invset.models.network import Generator, Network
from invset.models.shapes import cropped
from invset.models.statistics import CodeStatistics
from invset.weights.tensors import fill, read_tensors

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
    result = made("network", factory, arguments)
    if isinstance(result, Network):
        if weights is not None or labels is not None:
            raise ConfigError(f"{factory} returns a Network, which is used as it is: leave weights and labels out.")
        return result
    module, files = _filled("network", factory, result, weights)
    network = discovered_network(factory, module, size, Colours(scale, mean, deviation, bgr), labels, None, files)
    _require_gradient(network, torch.full((1, *network.input_shape), 0.5))
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
    result = made("generator", factory, arguments)
    if isinstance(result, Generator):
        if weights is not None:
            raise ConfigError(f"{factory} returns a Generator, which is used as it is: leave generator.weights out.")
        return result
    module, files = _filled("generator", factory, result, weights)
    if isinstance(code, bool) or not isinstance(code, int) or code < 1:
        raise ConfigError(f"{factory}: code={code}; give the numbers in a code, as generator.options.code=4096.")
    shape = cropped(factory, _image_shape(factory, module, code), crop)
    colours = Colours(scale, mean, deviation, bgr)
    normal = CodeStatistics(torch.zeros(code), torch.ones(code), torch.empty(0, code))
    statistics = normal if inverts is None else None
    return Generator(
        factory, module, code, shape, statistics, _bounds(factory, bounds), files, colours, _inverts(factory, inverts)
    )


def _require_gradient(network: Network, images: torch.Tensor) -> None:
    """Sampling climbs: some layer's output has to depend on the image, differentiably. Raises ConfigError."""
    last = list(network.layers)[-1]
    try:
        with torch.enable_grad():
            output = network.read([last], images.requires_grad_(True))[last]
            torch.autograd.grad(output.sum(), images)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"network {network.name}: no gradient comes from {last} back to the image ({told(error)}); let it compute "
            "with torch alone, without no_grad and numpy."
        ) from error


def _filled(what: str, factory: str, result: Any, weights: str | Path | None) -> tuple[nn.Module, tuple[Path, ...]]:
    setting = f"{what}.factory={factory}"
    if not isinstance(result, nn.Module):
        raise ConfigError(
            f"{setting} returns {type(result).__name__}: let it return a torch.nn.Module, or an invset {what.title()}."
        )
    if any(is_lazy(parameter) for parameter in result.parameters()):
        raise ConfigError(f"{setting} returns lazy layers, without shapes yet: let it run them once, on zeros.")
    if weights is None:
        return result, ()
    path = user_path(weights)
    return fill(lambda: result, read_tensors(path), path, ADVICE), (path,)


def _image_shape(factory: str, module: nn.Module, code: int) -> tuple[int, int]:
    parameter = next(module.parameters(), torch.zeros(()))
    codes = torch.zeros(1, code, device=parameter.device, dtype=parameter.dtype)
    try:
        with torch.no_grad():
            images = module.eval()(codes)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(f"generator {factory} cannot be run on a code of {code} zeros: {told(error)}") from error
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or tuple(images.shape[:2]) != (1, 3):
        gave = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ConfigError(f"generator {factory} makes {gave} of a code of {code}, not an image (1, 3, height, width).")
    return images.shape[2], images.shape[3]


def _bounds(factory: str, bounds: Sequence[float] | None) -> tuple[float, float] | None:
    if bounds is None:
        return None
    try:
        low, high = map(float, bounds)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise ConfigError(f"generator {factory}: bounds={bounds}; give two numbers in order, as [0,30].")
    return low, high


def _inverts(factory: str, inverts: Sequence[str] | None) -> tuple[str, str] | None:
    if inverts is None:
        return None
    named = isinstance(inverts, Sequence) and not isinstance(inverts, str)
    if not named or len(inverts) != 2 or not all(isinstance(part, str) for part in inverts):
        raise ConfigError(
            f"generator {factory}: inverts={inverts}; give a kind of network and a layer: [caffenet,fc6]."
        )
    return inverts[0], inverts[1]
