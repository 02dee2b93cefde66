"""Networks and generators of the user's own: made by a function that is given by its name, or modules in memory."""

from __future__ import annotations

import copy
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invset.core.randomness import seeded_generator
from invset.errors import ConfigError, InvsetError
from invset.files import user_path
from invset.models.colours import IMAGENET_DEVIATION, IMAGENET_MEAN, Colours
from invset.models.discovery import discovered_network
from invset.models.network import CodeStatistics, Generator, Network, cropped_shape
from invset.models.random_weights import drawing
from invset.settings import is_pair
from invset.weights.tensors import fill, read_tensors

RANDOM_SEED = 0  # of what the function draws: the same in each run
LOOKS, NEAR = 64, 0.01  # codes whose images show in what range a generator's pixels are, and how nearly
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
    return _network(factory, module, size, Colours(scale, mean, deviation, bgr), labels, files)


def custom_generator(
    factory: str = "",
    code: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    scale: float = 1.0,
    mean: float | Sequence[float] | None = None,
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
        mean: added, on that scale; None: 0, if all that it makes is then within [0, 1].
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
    colours = Colours(scale, 0.0 if mean is None else mean, deviation, bgr)
    generator = _generator(factory, module, code, colours, crop, inverts, bounds, files)
    if mean is None:
        half = "generator.options.mean=0.5 generator.options.deviation=0.5"
        _require_in_range(generator, f"{half} if they are -1 and 1; generator.options.mean=0")
    return generator


def network_in_memory(
    given: nn.Module | Network,
    size: int | None = None,
    mean: float | Sequence[float] = 0.0,
    deviation: float | Sequence[float] = 1.0,
) -> Network:
    """A module as `custom_network` has it, or a Network as it is: a copy on the CPU, so that what is given stays as is.

    Args:
        given: as it is trained, on any device; the copy is in eval mode.
        size: pixels a side; this and what follows are of a module alone.
        mean: taken off RGB in [0, 1]: one number, or one a channel.
        deviation: divided by.

    Raises:
        ConfigError: it cannot be copied, run at that size, or differentiated.
    """
    if isinstance(given, Network):
        return replace(given, module=_copied(given.name, given.module), colours=copy.deepcopy(given.colours).cpu())
    name = type(given).__name__
    if size is None:
        raise ConfigError(f"network {name}: give the pixels a side of the images that it takes, as size=224.")
    return _network(name, _copied(name, given), size, Colours(1.0, mean, deviation))


def generator_in_memory(
    given: nn.Module | Generator, code: int | None = None, output: Sequence[float] | None = None
) -> Generator:
    """A module as `custom_generator` has it, or a Generator as it is: a copy, as for `network_in_memory`.

    Args:
        given: codes (b, c) -> images (b, 3, h, w); codes are taken to be standard normal.
        code: c; this and what follows are of a module alone.
        output: the range of what it makes of black and white, as (-1, 1); None: (0, 1), if all that it makes is within.

    Raises:
        ConfigError: it cannot be copied or differentiated, or makes no images in that range.
    """
    if isinstance(given, Generator):
        return replace(given, module=_copied(given.name, given.module), colours=copy.deepcopy(given.colours).cpu())
    name = type(given).__name__
    if output is not None and not is_pair(output):
        raise ConfigError(f"output={output}: give what {name} makes of black and of white, as output=(-1, 1).")
    low, high = (0.0, 1.0) if output is None else output
    colours = Colours(1.0, -low / (high - low), 1 / (high - low))
    generator = _generator(name, _copied(name, given), code, colours)
    if output is None:
        _require_in_range(generator, "output=(-1, 1); output=(0, 1)")
    return generator


def _require_in_range(generator: Generator, options: str) -> None:
    """Refuse one whose images of some codes leave [0, 1]. Raises ConfigError: the `options` say what they are."""
    codes = torch.randn(LOOKS, generator.code_size, generator=seeded_generator("output"))
    device = next((parameter.device for parameter in generator.module.parameters()), codes.device)
    generator.to(device)
    with torch.no_grad():
        made = generator(codes.to(device))
    low, high = float(made.min()), float(made.max())
    if low < -NEAR or high > 1 + NEAR:
        raise ConfigError(
            f"generator {generator.name} makes pixels from {low:.3g} to {high:.3g}: say what black and white are, as "
            f"{options} clamps what is outside."
        )


def _network(
    name: str,
    module: nn.Module,
    size: int,
    colours: Colours,
    labels: str | Path | None = None,
    files: tuple[Path, ...] = (),
) -> Network:
    network = discovered_network(name, module, size, colours, labels, None, files)
    last = list(network.layers)[-1]
    images = torch.full((2, *network.input_shape), 0.5, device=network.device)
    failure = f"network {name}: no gradient comes from {last} back to the image"
    _require_gradient(failure, images, lambda some: network.read([last], some)[last])
    return network


def _generator(
    name: str,
    module: nn.Module,
    code: int | None,
    colours: Colours,
    crop: int | None = None,
    inverts: Sequence[str] | None = None,
    bounds: Sequence[float] | None = None,
    files: tuple[Path, ...] = (),
) -> Generator:
    if not isinstance(code, int) or isinstance(code, bool) or code < 1:
        raise ConfigError(f"generator {name}: code={code}; give the numbers in a code, as code=4096.")
    shape = cropped_shape(_image_size(name, module, code), crop)
    statistics = limits = layer = None
    if inverts is None:
        statistics = CodeStatistics(torch.zeros(code), torch.ones(code), torch.empty(0, code))
    else:
        kind, inverted = inverts
        layer = kind, inverted
    if bounds is not None:
        low, high = bounds
        limits = float(low), float(high)
    generator = Generator(name, module, code, shape, statistics, limits, files, colours, layer)
    failure = f"generator {name}: no gradient comes from its images back to the code"
    _require_gradient(failure, _zeros(module, code), module)
    return generator


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


def _copied(name: str, module: nn.Module) -> nn.Module:
    """A copy on the CPU, of float32. Raises ConfigError where it cannot be copied."""
    # Norms of weights keep what they last computed, with its gradient, which torch copies of no tensor.
    values = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    memo: dict[int, Any] = {id(value): value.detach().clone() for value in values if not value.is_leaf}
    try:
        return copy.deepcopy(module, memo).cpu().float()
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"{name} cannot be copied ({type(error).__name__}: {error}): sampling works on a copy, so that yours stays "
            "as it is. Let the module hold only what can be copied."
        ) from error


def _require_gradient(failure: str, inputs: Tensor, run: Callable[[Tensor], Tensor]) -> None:
    """Sampling climbs: what is run has to depend on its inputs, differentiably. Raises ConfigError."""
    inputs.requires_grad_()
    try:
        with torch.enable_grad():
            torch.autograd.grad(run(inputs).sum(), inputs)
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"{failure} ({_describe(error)}); let it compute with torch alone, without no_grad and numpy."
        ) from error


def _image_size(name: str, module: nn.Module, code: int) -> tuple[int, int]:
    """(h, w) of what the module makes of codes of zeros. Raises ConfigError where that is no image."""
    try:
        with torch.no_grad():
            images = module.eval()(_zeros(module, code))
    except Exception as error:  # of the user's code: anything
        raise ConfigError(
            f"generator {name} cannot be run on codes (2, {code}) ({type(error).__name__}: {error}). Give the numbers "
            "in a code, and let it take them as (b, c)."
        ) from error
    if not isinstance(images, torch.Tensor) or images.ndim != 4 or tuple(images.shape[:2]) != (2, 3):
        gave = tuple(images.shape) if isinstance(images, torch.Tensor) else type(images).__name__
        raise ConfigError(f"generator {name} makes {gave} of codes (2, {code}), not images (2, 3, height, width).")
    return images.shape[2], images.shape[3]


def _zeros(module: nn.Module, code: int) -> Tensor:
    """Two codes of zeros (2, code), where and of what numbers the module computes."""
    parameter = next(module.parameters(), torch.zeros(()))
    return torch.zeros(2, code, device=parameter.device, dtype=parameter.dtype)


NETWORKS = {"custom": custom_network}
GENERATORS = {"custom": custom_generator}
