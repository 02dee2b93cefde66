"""Builds a module without memory for its weights, and without a trace in the global random state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Module = TypeVar("Module", bound=nn.Module)


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


@contextmanager
def drawing(random_seed: int) -> Iterator[None]:
    """Inside, the CPU's global random state is that of the seed; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(random_seed)
        yield


class _Hollow(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Iterable[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty:
            given["device"] = "meta"
        return func(*args, **given)


def class_count(build: Callable[[int], nn.Module], state: Mapping[str, Tensor]) -> int | None:
    """How many classes a state dict is for: where modules of 2 and of 3 classes differ, the state says it.

    Args:
        build: a module of so many classes, hollow.
        state: of a module of some number of classes.
    """
    two, three = build(2).state_dict(), build(3).state_dict()
    for name, value in two.items():
        if value.shape != three[name].shape and name in state and state[name].ndim == value.ndim:
            return state[name].shape[0]
    return None
