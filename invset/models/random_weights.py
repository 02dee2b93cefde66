"""Modules built without memory for their weights, and He's random weights where trained ones are not at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from invset.errors import ConfigError
from invset.models.colours import Colours

Module = TypeVar("Module", bound=nn.Module)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NORMS = (*BATCH_NORMS, nn.LayerNorm, nn.GroupNorm)
TINY = 0.1  # constants up to this are the scales of branches that training switches on, as LayerScale's 1e-6
TABLE = 0.02  # deviation of positions and tokens
PIXELS = 2 * 224**2  # in all images on which BatchNorms measure: of small images it takes more to see as many numbers
LEAST = 0.01  # of the channels' mean variance: one that is all but constant would be blown up


@contextmanager
def drawing(random_seed: int) -> Iterator[None]:
    """Inside, the CPU's global random state is that of the seed; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(random_seed)
        yield


def hollow(build: Callable[[], Module], random_seed: int = 0) -> Module:
    """The module, with the large tensors of its layers on the meta device.

    Only what `torch.empty` makes, of which layers make their weights, is without memory. All that a constructor
    computes is there: tables of positions, and the shapes of a RegNet, which it works out with tensors.

    Args:
        build: makes it.
        random_seed: of what the constructor draws; the global random state is as it was afterwards.
    """
    with drawing(random_seed), _Hollow():
        return build()


class _Hollow(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Iterable[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty:
            given["device"] = "meta"
        return func(*args, **given)


def he_state(module: nn.Module, random_seed: int, leak: float = 0.0) -> dict[str, Tensor]:
    """A state for each convolution and linear layer: normal weights that keep activations' size, biases of 0.

    For `module.load_state_dict(state, assign=True)`, which lets the module be made on the meta device.

    Args:
        module: on any device.
        random_seed: of a generator of its own.
        leak: slope of the ReLUs below 0.
    """
    generator = torch.Generator().manual_seed(random_seed)
    state: dict[str, Tensor] = {}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            deviation = math.sqrt(2 / (1 + leak**2) / _inputs(layer))
            state[f"{name}.weight"] = torch.empty(layer.weight.shape).normal_(0, deviation, generator=generator)
            if layer.bias is not None:
                state[f"{name}.bias"] = torch.zeros(layer.bias.shape)
    return state


def randomise(name: str, module: nn.Module, random_seed: int, colours: Colours, size: int) -> None:
    """Random weights for any network, in place, such that its activations are moderate and vary between images.

    Convolutions and linear layers as `he_state`; norms change nothing but the scale, and BatchNorms take off what they
    measure on noise; scales that begin near 0 become 1. What else has memory stays as it is, and what has none (meta
    device) becomes small random numbers, vectors 0.

    Args:
        name: for the message.
        module: built, some or all of it on the meta device.
        random_seed: of generators of its own.
        colours: what the module takes.
        size: pixels a side.

    Raises:
        ConfigError: it cannot be run at that size.
    """
    state = he_state(module, random_seed)
    generator = torch.Generator().manual_seed(random_seed)
    for path, layer in module.named_modules():
        if isinstance(layer, NORMS):
            for part, value in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)):
                make = torch.ones if part in ("weight", "running_var") else torch.zeros
                state[f"{path}.{part}"] = make(value.shape, dtype=value.dtype)
    for path, value in module.state_dict().items():
        if path in state:
            continue
        if value.is_meta:
            state[path] = torch.zeros(value.shape, dtype=value.dtype)
            if value.ndim > 1:  # attention's matrices, (outputs, inputs), keep the size of what they take
                deviation = 1 / math.sqrt(value.shape[1]) if path.endswith("in_proj_weight") else TABLE
                state[path].normal_(0, deviation, generator=generator)
        elif value.is_floating_point() and value.numel() and 0 < float(value.min()) == float(value.max()) <= TINY:
            state[path] = torch.ones_like(value)
    for path, value in state.items():
        _put(module, path, value)
    try:
        _settle(module.eval(), colours.encode(noise(random_seed, size)))
    except (AssertionError, ValueError, RuntimeError, TypeError) as error:
        raise ConfigError(f"network {name} cannot be run on {size} pixels ({error}): give another size.") from error


def noise(random_seed: int, size: int) -> Tensor:
    """Images (b, 3, size, size) in [0, 1] that differ as photographs do; the smaller, the more: 24 to 64.

    Shapes are the fainter the finer, and contrast and colour are each image's own. On images that are all alike
    BatchNorms would learn to blow up small differences.
    """
    generator = torch.Generator().manual_seed(random_seed)
    count = min(max(PIXELS // size**2, 24), 64)
    images = torch.zeros(count, 3, size, size)
    for weight, side in ((0.4, 2), (0.3, 5), (0.2, 16), (0.1, size)):
        shapes = torch.rand(count, 3, side, side, generator=generator)
        images += weight * F.interpolate(shapes, (size, size), mode="bilinear")
    contrast = 0.3 + 1.7 * torch.rand(count, 1, 1, 1, generator=generator)
    colour = 0.6 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    return (0.5 + contrast * (images - 0.5) + colour).clamp(0, 1)


def _put(module: nn.Module, name: str, value: Tensor) -> None:
    """Not `load_state_dict`: MNASNet's own wants a version with the tensors."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    is_parameter = isinstance(getattr(owner, leaf), nn.Parameter)
    setattr(owner, leaf, nn.Parameter(value, requires_grad=False) if is_parameter else value)


def _settle(module: nn.Module, images: Tensor) -> None:
    """Give each BatchNorm the mean and variance of what it takes, in the order in which they run."""

    def measure(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        dimensions = [0, *range(2, x.ndim)]
        variance = x.var(dimensions, correction=0)
        layer.running_mean.copy_(x.mean(dimensions))
        layer.running_var.copy_(variance.clamp(min=LEAST * float(variance.mean())))

    norms = [layer for layer in module.modules() if isinstance(layer, BATCH_NORMS) and layer.track_running_stats]
    if not norms:
        return
    handles = [layer.register_forward_pre_hook(measure) for layer in norms]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for handle in handles:
            handle.remove()


def _inputs(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """How many inputs each output sums."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    inputs = layer.in_channels / layer.groups * math.prod(layer.kernel_size)
    return inputs / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else inputs
