"""A run on several processes: the first holds the state and the folder; the others take part in each of its steps."""

from __future__ import annotations

from typing import Any

import torch

from invset.core.method import Abilities, Method, Step
from invset.passes.ranks import Ranks
from invset.run.checkpoint import pack, unpack


class Leading(Abilities):
    """A method on the first process, whose steps the others take part in.

    They are given the state before each step, and keep nothing: so a run goes on with any number of processes, and they
    cannot drift apart.
    """

    def __init__(self, method: Method, ranks: Ranks) -> None:
        self.method = method
        self.ranks = ranks
        self.State = method.State

    def begin(self) -> Any:
        """The state before the first step."""
        self.ranks.announce(("begin",))
        with self.ranks.in_step():
            return self.method.begin()

    def step(self, state: Any) -> tuple[Any, Step]:
        """One gradient step.

        Raises:
            RanksError: another process failed, or was lost.
        """
        tensors, values = pack(state)
        self.ranks.announce(("step", {name: tensor.cpu() for name, tensor in tensors.items()}, values))
        with self.ranks.in_step():
            return self.method.step(state)


def follow(method: Method, ranks: Ranks, device: torch.device) -> tuple[Any, ...]:
    """Take part in the steps of the first process, until it announces something else: returns that.

    Raises:
        RanksError: a process was lost.
    """
    while True:
        word, *rest = message = ranks.announce()
        if word not in ("begin", "step"):
            return tuple(message)
        try:
            with ranks.in_step():
                if word == "begin":
                    method.begin()
                else:
                    tensors, values = rest
                    method.step(unpack(method.State, tensors, values, device))
        except Exception as error:
            if error is not ranks.failure:
                raise
