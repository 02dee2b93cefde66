"""Finds the layers of any module: one forward pass with a look at everything it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.colours import Colours
from invset.models.labels import labels_for
from invset.models.network import Network, channels_first

BATCH = 2  # images: an output that is not one for each image is then told by its first dimension
LOGITS = "logits"  # what the module itself gives


@dataclass(frozen=True)
class Found:
    """A layer that units can be read from.

    Attributes:
        shape: (channels,), (channels, tokens) or (channels, h, w), the first time it runs.
        runs: how many times it runs in a forward pass; it is read the first time.
        final: whether what it gives is the module's own output, untouched.
    """

    shape: tuple[int, ...]
    runs: int = 1
    final: bool = False


def discover(module: nn.Module, images: Tensor) -> dict[str, Found]:
    """Path -> layer, '' for the module itself, in the order in which they are first done.

    Left out is what never runs, gives anything but one tensor of real numbers, or gives a shape that is no vector, no
    sequence of tokens and no map, first dimension the images'. Maps of square images have to be square.

    Args:
        module: in eval mode.
        images: (2, 3, h, w) in the module's own colours.

    Raises:
        Exception: whatever the module raises.
    """
    shapes: dict[str, tuple[int, ...] | None] = {}
    runs: dict[str, int] = {}
    vectors: dict[str, Tensor] = {}

    def look(path: str, output: Any) -> None:
        runs[path] = runs.get(path, 0) + 1
        if path not in shapes:
            shapes[path] = _shape(output, images)
            if shapes[path] is not None and output.ndim == 2:
                vectors[path] = output

    with torch.no_grad(), _watched(module, look):
        module(images)
    last = vectors.get("")
    return {
        path: Found(shape, runs[path], last is not None and vectors.get(path) is last)
        for path, shape in shapes.items()
        if shape is not None
    }


def discovered_network(
    name: str,
    module: nn.Module,
    size: int,
    colours: Colours,
    labels: str | Path | None = None,
    aliases: Mapping[str, str] | None = None,
    files: tuple[Path, ...] = (),
) -> Network:
    """The module as a network: a layer for each path, `logits` for its own output, and the aliases.

    An alias never hides a path of that name. Labels are those of `logits` and of the layers that give the very same.

    Args:
        name: for messages.
        module: images (b, 3, size, size), in the colours -> anything.
        size: pixels a side.
        colours: what the module takes.
        labels: a file of the classes' names; None: ImageNet's, if there are 1000.
        aliases: public name -> path.
        files: of its weights.

    Raises:
        ConfigError: it cannot be run at that size, has no layer to read, or as many classes as there are labels.
        WeightsError: the labels cannot be read.
    """
    require_size(name, size)
    found = _discover(name, module, size, colours)
    layers: dict[str, str] = {}
    for path in found:
        layers |= {alias: path for alias, target in (aliases or {}).items() if target == path and alias not in found}
        if path:
            layers[path] = path
    if "" in found:
        layers.setdefault(LOGITS, "")
    if not layers:
        raise ConfigError(f"network {name}: none of its modules gives one vector, sequence or map for each image.")
    classes = {layer: found[path].shape[0] for layer, path in layers.items() if found[path].final}
    if labels is not None and not classes:
        raise ConfigError(f"network {name} gives no vector of classes, so that {labels} names nothing; leave it out.")
    shapes = {layer: found[path].shape for layer, path in layers.items()}
    named = labels_for(classes, labels)
    return Network(name, module, layers, (3, size, size), named, files, colours, shapes)


def require_size(name: str, size: object) -> None:
    """Raises ConfigError unless it is a number of pixels."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"network {name}: size={size} is no image size; give pixels a side.")


def blank_images(module: nn.Module, colours: Colours, size: tuple[int, int]) -> Tensor:
    """Black images (2, 3, h, w) as the module takes them: its colours, type of numbers and device."""
    parameter = next(module.parameters(), colours.mean)
    black = torch.zeros(BATCH, 3, *size, device=colours.mean.device)
    return colours.encode(black).to(parameter.device, parameter.dtype)


def _discover(name: str, module: nn.Module, size: int, colours: Colours) -> dict[str, Found]:
    try:
        return discover(module.eval(), blank_images(module, colours, (size, size)))
    except Exception as error:  # of others' code: anything
        raise ConfigError(
            f"network {name} cannot be run on images of {size}x{size} pixels ({type(error).__name__}: {error}). "
            "Give another network.options.size, if that is why."
        ) from error


@contextmanager
def _watched(module: nn.Module, look: Any) -> Iterator[None]:
    """Each submodule that has run is shown: path, output."""

    def hook(path: str) -> Any:
        return lambda _module, _inputs, output: look(path, output)

    handles = [submodule.register_forward_hook(hook(path)) for path, submodule in module.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _shape(output: Any, images: Tensor) -> tuple[int, ...] | None:
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.ndim not in (2, 3, 4):
        return None
    if len(output) != len(images) or not output.numel():
        return None
    shape = tuple(channels_first(output).shape[1:])
    square = images.shape[-2] == images.shape[-1]
    if len(shape) == 3 and square and shape[1] != shape[2]:
        return None  # windows of tokens, as MaxViT has them: (b, windows, tokens, channels)
    return shape
