"""Reads several layers of a network in one forward pass, and stops it at the deepest of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.names import hint


def read_layers(module: nn.Module, paths: Iterable[str], images: Tensor) -> dict[str, Tensor]:
    """The outputs of the submodules at `paths`, from one forward pass that ends once all have been seen.

    Works under autograd: the outputs carry gradients back to the images. A submodule that runs more than once
    is read the first time.

    Args:
        module: the network; it is called with `images` alone.
        paths: dotted names, as in `module.named_modules()`.
        images: (b, 3, h, w), in whatever units the network takes.

    Returns:
        path -> its output (b, ...), as it was before any later layer overwrote it in place.

    Raises:
        ConfigError: a path does not exist, was not reached, or gives something other than one tensor.
    """
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return {}
    submodules = dict(module.named_modules())
    for path in wanted:
        if path not in submodules:
            names = [name for name in submodules if name]
            raise ConfigError(f"{type(module).__name__} has no layer at '{path}': {hint(path, names)}")
    outputs: dict[str, Tensor] = {}
    stop = _Stop()

    def keep(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if path in outputs:
                return
            if not isinstance(output, Tensor):
                kind = type(output).__name__
                raise ConfigError(f"layer '{path}' gives a {kind}, not one tensor: choose a layer inside or after it.")
            outputs[path] = output
            if len(outputs) == len(wanted):
                raise stop
            outputs[path] = output.clone()  # the next layer may be an in-place ReLU

        return hook

    with _ONE_AT_A_TIME:
        handles = [submodules[path].register_forward_hook(keep(path)) for path in wanted]
        try:
            module(images)
        except _Stop as stopped:
            if stopped is not stop:
                raise
        finally:
            stop.__traceback__ = (
                None  # whose frames hold `stop`: all tensors of the pass would stay until Python sweeps
            )
            for handle in handles:
                handle.remove()
    missed = [path for path in wanted if path not in outputs]
    if missed:
        raise ConfigError(
            f"{type(module).__name__} does not run {', '.join(missed)} when called: choose another layer."
        )
    return {path: outputs[path] for path in wanted}


_ONE_AT_A_TIME = threading.RLock()  # another thread's pass would run into these hooks


class _Stop(Exception):
    """Ends a forward pass from inside a hook; each reading catches its own only."""
