"""Networks and generators of the user's own, made by a function that is given by its name."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from invset.compat import import_torchvision
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
    result = _call(factory, arguments)
    if isinstance(result, Network):
        if weights is not None or labels is not None:
            raise ConfigError(f"{factory} returns a Network, which is used as it is: leave weights and labels out.")
        return result
    module, files = _filled(factory, result, weights)
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
    result = _call(factory, arguments)
    if isinstance(result, Generator):
        if weights is not None:
            raise ConfigError(f"{factory} returns a Generator, which is used as it is: leave weights out.")
        return result
    module, files = _filled(factory, result, weights)
    if not isinstance(code, int) or code < 1:
        raise ConfigError(f"{factory}: code={code}; give the numbers in a code, as code=4096.")
    shape = cropped_shape(factory, _image_size(factory, module, code), crop)
    colours = Colours(scale, mean, deviation, bgr)
    normal = CodeStatistics(torch.zeros(code), torch.ones(code), torch.empty(0, code))
    statistics, layer = (normal, None) if inverts is None else (None, _inverts(factory, inverts))
    limits = None if bounds is None else _bounds(factory, bounds)
    return Generator(factory, module, code, shape, statistics, limits, files, colours, layer)


def _call(factory: str, arguments: Mapping[str, Any] | None) -> Any:
    """What the function returns. Raises ConfigError where there is no such function, or it fails."""
    path, _, name = factory.partition(":")
    if not path or not name:
        raise ConfigError(f"factory={factory}: give package.module:function, as mynets:build.")
    given = dict(arguments or {})
    with _importable(str(Path.cwd())):
        function = _function(factory, path, name)
        try:
            with drawing(RANDOM_SEED):
                return function(**given)
        except InvsetError:
            raise
        except Exception as error:  # of the user's code: anything
            call = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ConfigError(f"factory={factory}: {name}({call}) fails: {_describe(error)}") from error


def _function(factory: str, path: str, name: str) -> Any:
    try:
        found: Any = _import(path)
    except Exception as error:  # of the user's code: anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{path}.".startswith(f"{missing}."):
            raise ConfigError(
                f"factory={factory}: there is no module '{missing}', installed or in {Path.cwd()}; go to its folder, "
                "or set PYTHONPATH."
            ) from error
        raise ConfigError(f"factory={factory}: {path} cannot be imported: {_describe(error)}") from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"factory={factory}: {path} has no function '{name}'.")
    return found


def _import(path: str) -> Any:
    try:
        return import_module(path)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        import_torchvision()  # which needs help beside a torch for CPUs alone
        return import_module(path)


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """The folder is looked through first, as by `python -m`."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _describe(error: Exception) -> str:
    """What was raised, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def _filled(factory: str, result: Any, weights: str | Path | None) -> tuple[nn.Module, tuple[Path, ...]]:
    if not isinstance(result, nn.Module):
        raise ConfigError(
            f"factory={factory} returns {type(result).__name__}: let it return a torch.nn.Module, or invset's Network "
            "or Generator."
        )
    if weights is None:
        return result, ()
    path = user_path(weights)
    return fill(lambda: result, read_tensors(path), path, ADVICE), (path,)


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
    try:
        with torch.no_grad():
            images = module.eval()(codes)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(f"generator {factory} cannot be run on a code of {code} zeros: {_describe(error)}") from error
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or tuple(images.shape[:2]) != (1, 3):
        gave = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ConfigError(f"generator {factory} makes {gave} of a code of {code}, not an image (1, 3, height, width).")
    return images.shape[2], images.shape[3]


def _bounds(factory: str, bounds: Sequence[float]) -> tuple[float, float]:
    low, high = map(float, bounds)
    if not low < high:
        raise ConfigError(f"generator {factory}: bounds={bounds}; give two numbers in order, as [0,30].")
    return low, high


def _inverts(factory: str, inverts: Sequence[str]) -> tuple[str, str]:
    if isinstance(inverts, str) or len(inverts) != 2:
        raise ConfigError(
            f"generator {factory}: inverts={inverts}; give a kind of network and a layer, as [caffenet,fc6]."
        )
    return inverts[0], inverts[1]


NETWORKS = {"custom": custom_network}
GENERATORS = {"custom": custom_generator}
