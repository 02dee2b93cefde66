"""A step asks twice: what do these codes give, and what is the gradient in them. Several are answered in one pass."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invset.core.problem import Evaluation, Problem
from invset.core.state import State, StepInfo


class Pulls(NamedTuple):
    """What pulls on k codes: ∂L/∂encodings (k, d) and ∂L/∂activations (k, p)."""

    encodings: Tensor
    activations: Tensor


Stepping = Generator[Any, Any, tuple[State, StepInfo]]
"""A step under way: it yields codes (k, c) and is sent their `Evaluation`; yields `Pulls`, is sent ∂L/∂codes (k, c)."""


def together(problem: Problem, under_way: Sequence[Stepping], batch_size: int | None) -> list[tuple[State, StepInfo]]:
    """What steps come to, all their codes having gone through the networks at once.

    Raises:
        NonFiniteError: an activation, an encoding or the gradient is NaN or infinite; chains are counted through.
    """
    codes: list[Tensor] = [next(one) for one in under_way]
    sizes = [len(part) for part in codes]
    evaluation, pull_back = problem.linearise(torch.cat(codes), batch_size=batch_size)
    parts = zip(*(tensor.split(sizes) for tensor in evaluation), strict=True)
    pulls: list[Pulls] = [one.send(Evaluation(*part)) for one, part in zip(under_way, parts, strict=True)]
    gradient = pull_back(*(torch.cat(tensors) for tensors in zip(*pulls, strict=True)))
    return [_ended(one, part) for one, part in zip(under_way, gradient.split(sizes), strict=True)]


def _ended(stepping: Stepping, gradient: Tensor) -> tuple[State, StepInfo]:
    try:
        stepping.send(gradient)
    except StopIteration as ended:
        result: tuple[State, StepInfo] = ended.value
        return result
    raise AssertionError("a step asks twice")
