"""When memory runs out, batches are halved and the work is done again: to the same results."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from invset.core.memory import Batches, out_of_memory
from invset.core.problem import Problem

ERRORS = [
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError(),
]


class Small:
    """A device on which a batch larger than `room` fails: at once, or when its gradient is taken."""

    def __init__(self, room: int, error: BaseException = ERRORS[0], backward: bool = False) -> None:
        self.room, self.error, self.backward = room, error, backward
        self.batches: list[int] = []

    def generate(self, codes: Tensor) -> Tensor:
        if len(codes) > self.room and not self.backward:
            raise type(self.error)(*self.error.args)
        if self.backward and codes.requires_grad:
            codes = codes * 1
            codes.register_hook(self._check)
        self.batches.append(len(codes))
        mix = torch.linspace(-1, 1, 30, dtype=codes.dtype).reshape(5, 6)
        return torch.sigmoid(codes @ mix).view(-1, 3, 1, 2)

    def _check(self, gradient: Tensor) -> None:
        if len(gradient) > self.room:
            raise type(self.error)(*self.error.args)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.flatten(1)
        return torch.tanh(x @ torch.cos(torch.arange(24, dtype=x.dtype)).reshape(6, 4)), x.prod(dim=1, keepdim=True)

    def problem(self) -> Problem:
        return Problem(self.generate, self.read, eight_bit=False)


CODES = torch.randn(11, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PULLS = (
    torch.randn(11, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    torch.ones(11, 1, dtype=torch.float64),
)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("room", [1, 3, 10])
def test_the_results_are_those_of_one_batch(room: int, backward: bool, error: BaseException) -> None:
    whole, whole_back = Small(99).problem().linearise(CODES)
    problem = Small(room, error, backward).problem()
    told: list[int] = []
    problem.batches.on_smaller = told.append
    evaluation, pull_back = problem.linearise(CODES)
    gradient = pull_back(*PULLS)
    for ours, expected in zip(evaluation, whole, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(gradient, whole_back(*PULLS), rtol=1e-12, atol=1e-14)
    assert told == [{1: 1, 3: 2, 10: 5}[room]]
    again, _ = problem.linearise(CODES)
    torch.testing.assert_close(again.activations, whole.activations, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(problem.evaluate(CODES).encodings, whole.encodings, rtol=1e-13, atol=1e-14)
    assert told == [problem.batches.largest]  # said once, and never tried again


def test_what_was_learned_holds_from_then_on() -> None:
    small = Small(3)
    problem = small.problem()
    problem.evaluate(CODES)
    assert small.batches == [2, 2, 2, 2, 2, 1]
    assert problem.forward_passes == 11
    problem.linearise(CODES, batch_size=7)[1](*PULLS)
    assert max(small.batches) == 2
    assert problem.forward_passes == 33
    assert problem.backward_passes == 11


def test_a_batch_that_was_done_is_not_done_again() -> None:
    """Memory that somebody else takes meanwhile."""
    small = Small(4)

    def work(part: Tensor, first: int) -> tuple[Tensor]:
        if first >= 4:
            small.room = 1
        return (small.generate(part),)

    batches = Batches()
    batches.split(work, CODES, 4)
    assert small.batches == [4] + [1] * 7


@pytest.mark.parametrize("error", ERRORS)
def test_one_at_a_time_is_the_end_of_it(error: BaseException) -> None:
    problem = Small(0, error).problem()
    with pytest.raises(type(error)):
        problem.linearise(CODES)
    with pytest.raises(type(error)):
        problem.evaluate(CODES)
    assert problem.batches.largest == 1


def test_other_errors_are_passed_on() -> None:
    problem = Small(3, RuntimeError("mat1 and mat2 shapes cannot be multiplied")).problem()
    with pytest.raises(RuntimeError, match="shapes"):
        problem.linearise(CODES)
    assert problem.batches.largest is None
    assert not out_of_memory(ValueError("a range"))


class Pair(NamedTuple):
    twice: Tensor
    sums: Tensor


@pytest.mark.parametrize("size", [1, 2, 3, 5, 99, None])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_parts_are_joined_in_their_own_kind(rows: int, size: int | None) -> None:
    x = torch.arange(2.0 * rows).view(rows, 2)
    joined = Batches().split(lambda part, first: Pair(2 * part, part.sum(dim=1) + first), x, size)
    assert isinstance(joined, Pair)
    assert torch.equal(joined.twice, 2 * x)
    firsts = torch.arange(rows) // size * size if size else torch.zeros(rows)
    assert torch.equal(joined.sums, x.sum(dim=1) + firsts)


@pytest.mark.parametrize("method", ["paper", "multistart", "full"])
def test_methods_take_the_steps_that_they_would_take(method: str, linear: type, walk: Callable) -> None:
    """Once more than three codes at a time fail, from the first start on; to float64 rounding."""
    roomy, tight = linear(), linear()
    generate = tight.generate

    def cramped(codes: Tensor) -> Tensor:
        if len(codes) > 3:
            raise ERRORS[0]
        return generate(codes)

    schedule = {"chains": 8, "inner_steps": 5, "outer_iterations": 99}
    _, expected = walk(getattr(roomy, method)(**schedule), 12)
    problem = Problem(cramped, tight.read, eight_bit=False)
    _, ours = walk(getattr(tight, method)(problem, **schedule), 12)
    assert problem.batches.largest == 2
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one.codes, other.codes, rtol=1e-8, atol=1e-9)
        assert one.samples.tolist() == other.samples.tolist()


def test_no_graph_outlives_a_step(linear: type) -> None:
    """What a failed attempt had made is gone before the next: a reference to it would keep its memory."""
    alive: list[weakref.ref[Tensor]] = []
    small = Small(3, backward=True)
    generate = small.generate

    def watched(codes: Tensor) -> Tensor:
        assert not any(ref() is not None for ref in alive)
        images = generate(codes)
        if codes.requires_grad:
            alive.append(weakref.ref(images))
        return images

    problem = Problem(watched, small.read, eight_bit=False)
    problem.linearise(CODES)[1](*PULLS)
    assert len(alive) > 2
