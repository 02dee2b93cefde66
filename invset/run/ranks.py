"""A run on several processes: the first holds the state and the folder; the others take part in each of its steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from invset.core.ranks import Ranks
from invset.core.state import Method, State, StepInfo
from invset.run.states import pack, unpack


class Leading:
    """A method on the first process, whose steps the others take part in.

    They are told the state before each step, and keep nothing: so a run goes on with any number of processes, and they
    cannot drift apart.
    """

    def __init__(self, method: Method, ranks: Ranks) -> None:
        self.method = method
        self.ranks = ranks

    def begin(self) -> State:
        """The state before the first step."""
        self.ranks.tell(("begin",))
        with self.ranks.in_step():
            return self.method.begin()

    def step(self, state: State) -> tuple[State, StepInfo]:
        """One gradient step.

        Raises:
            RanksError: another process failed, or was lost.
        """
        tensors, values = pack(state)
        shapes = {name: (tuple(tensor.shape), tensor.dtype, tensor.device.type) for name, tensor in tensors.items()}
        self.ranks.tell(("step", shapes, values))
        for device in _devices(shapes):
            self.ranks.spread([tensor for tensor in tensors.values() if tensor.device.type == device])
        with self.ranks.in_step():
            return self.method.step(state)


def follow(method: Method, ranks: Ranks, device: torch.device) -> tuple[Any, ...]:
    """Take part in the steps of the first process, until it says something else: returns that.

    Raises:
        RanksError: a process was lost.
    """
    while True:
        word, *rest = message = ranks.tell()
        if word not in ("begin", "step"):
            return tuple(message)
        try:
            with ranks.in_step():
                if word == "begin":
                    method.begin()
                else:
                    method.step(_received(ranks, device, *rest))
        except Exception as error:
            if error is not ranks.failure:
                raise


def _received(ranks: Ranks, device: torch.device, shapes: dict[str, Any], values: dict[str, Any]) -> State:
    tensors: dict[str, Tensor] = {}
    for kind in _devices(shapes):
        mine = {name: given for name, given in shapes.items() if given[2] == kind}
        places = [
            torch.empty(shape, dtype=dtype, device=device if kind == device.type else kind)
            for shape, dtype, _ in mine.values()
        ]
        tensors |= dict(zip(mine, ranks.spread(places), strict=True))
    return unpack(State, tensors, values, device)


def _devices(shapes: dict[str, Any]) -> list[str]:
    return sorted({kind for _, _, kind in shapes.values()})
