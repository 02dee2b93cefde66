"""The layers of any module by hooks: which there are, and what several of them give in one forward pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_ONE_AT_A_TIME = threading.RLock()  # another thread's pass would run into these hooks


@dataclass(frozen=True)
class FoundLayer:
    """A layer that units can be read from.

    Attributes:
        shape: (channels,), (channels, tokens) or (channels, h, w), the first time it runs.
        runs: how many times it runs in a forward pass; it is read the first time.
        final: whether what it gives is the module's own output, untouched.
    """

    shape: tuple[int, ...]
    runs: int = 1
    final: bool = False


def discover(module: nn.Module, images: Tensor) -> dict[str, FoundLayer]:
    """Path -> layer, '' for the module itself, in the order in which they are first done.

    Left out is what never runs, gives anything but one tensor of real numbers, or gives a shape that is no vector, no
    sequence of tokens and no map, first dimension the images'. Maps of square images have to be square.

    Args:
        module: in eval mode.
        images: (b, 3, h, w) in the module's own colours, 2 or more: so the first dimension shows an output
            that is not one for each image.

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

    with torch.no_grad(), _hooked(dict(module.named_modules()), look):
        module(images)
    last = vectors.get("")
    return {
        path: FoundLayer(shape, runs[path], last is not None and vectors.get(path) is last)
        for path, shape in shapes.items()
        if shape is not None
    }


def read_layers(module: nn.Module, paths: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """The outputs of the submodules at `paths`, from one forward pass that ends once all of them have run.

    Works under autograd: the outputs carry gradients back to the images. A submodule that runs more than once is read
    the first time.

    Args:
        module: the network; it is called with `images` alone.
        paths: as `discover` gives them.
        images: (b, 3, h, w), in whatever units the network takes.

    Returns:
        path -> its output (b, ...), as it was before any later layer overwrote it in place.
    """
    wanted = list(dict.fromkeys(paths))
    outputs: dict[str, Tensor] = {}

    def keep(path: str, output: Tensor) -> None:
        if path in outputs:
            return
        outputs[path] = output
        if len(outputs) == len(wanted):
            raise _Stop
        outputs[path] = output.clone()  # the next layer may be an in-place ReLU

    with _hooked({path: module.get_submodule(path) for path in wanted}, keep), suppress(_Stop):
        module(images)
    return {path: outputs[path] for path in wanted}


def channels_first(output: Tensor) -> Tensor:
    """A layer's output with its units in dimension 1.

    (b, tokens, channels), as a transformer's layers give -> (b, channels, tokens); maps with the channels last, which
    their equal sides show, -> (b, channels, h, w); all else as it is.
    """
    if output.ndim == 3:
        return output.transpose(1, 2)
    if output.ndim == 4 and output.shape[1] == output.shape[2] != output.shape[3]:
        return output.permute(0, 3, 1, 2)
    return output


class _Stop(Exception):
    """Ends a forward pass from inside a hook."""


@contextmanager
def _hooked(submodules: Mapping[str, nn.Module], see: Callable[[str, Any], None]) -> Iterator[None]:
    """Call `see` with the path and the output of each of these submodules whenever it has run."""

    def hook(path: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, _inputs, output: see(path, output)

    with _ONE_AT_A_TIME:
        handles = [submodule.register_forward_hook(hook(path)) for path, submodule in submodules.items()]
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
