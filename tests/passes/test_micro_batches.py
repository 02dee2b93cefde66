"""In parts, and when memory runs out in halves: the same results."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from invset.core.problem import Pipeline
from invset.passes.micro_batches import Batches, MicroBatches, out_of_memory
from invset.passes.plain import Plain

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

    def passes(self, size: int | None = None) -> MicroBatches:
        return MicroBatches(Plain(Pipeline(self.generate, self.read, eight_bit=False)), size)


CODES = torch.randn(11, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
PULLS = (
    torch.randn(11, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    torch.ones(11, 1, dtype=torch.float64),
)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("room", [1, 3, 10])
def test_the_results_are_those_of_one_batch(room: int, backward: bool, error: BaseException) -> None:
    whole, whole_back = Small(99).passes().linearise(CODES)
    passes = Small(room, error, backward).passes()
    announced: list[int] = []
    passes.batches.on_smaller = announced.append
    evaluation, pull_back = passes.linearise(CODES)
    gradient = pull_back(*PULLS)
    torch.testing.assert_close(evaluation, whole, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(gradient, whole_back(*PULLS), rtol=1e-12, atol=1e-14)
    assert announced == [{1: 1, 3: 2, 10: 5}[room]]
    torch.testing.assert_close(passes.evaluate(CODES), whole, rtol=1e-13, atol=1e-14)
    assert announced == [passes.batches.largest]  # said once, and never tried again


def test_what_was_learned_holds_from_then_on() -> None:
    small = Small(3)
    passes = small.passes()
    passes.evaluate(CODES)
    assert small.batches == [2, 2, 2, 2, 2, 1]
    passes.linearise(CODES)[1](*PULLS)
    assert max(small.batches) == 2
    assert (passes.counts.forward, passes.counts.backward) == (33, 11)
    resumed, again = Small(99), Batches()
    again.on_smaller = lambda largest: pytest.fail("said before")
    again.learn(2)
    again.split(lambda part, first: (resumed.generate(part),), CODES)
    assert resumed.batches == [2, 2, 2, 2, 2, 1]


def test_a_batch_that_was_done_is_not_done_again() -> None:
    """Memory that somebody else takes meanwhile."""
    small = Small(4)

    def work(part: Tensor, first: int) -> tuple[Tensor]:
        if first >= 4:
            small.room = 1
        return (small.generate(part),)

    Batches().split(work, CODES, 4)
    assert small.batches == [4] + [1] * 7


@pytest.mark.parametrize("error", ERRORS)
def test_one_at_a_time_is_the_end_of_it(error: BaseException) -> None:
    passes = Small(0, error).passes()
    with pytest.raises(type(error)):
        passes.linearise(CODES)
    with pytest.raises(type(error)):
        passes.evaluate(CODES)
    assert passes.batches.largest == 1


def test_other_errors_are_passed_on() -> None:
    passes = Small(3, RuntimeError("mat1 and mat2 shapes cannot be multiplied")).passes()
    with pytest.raises(RuntimeError, match="shapes"):
        passes.linearise(CODES)
    assert passes.batches.largest is None
    assert not out_of_memory(ValueError("a range"))


def test_no_graph_outlives_a_step() -> None:
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

    small.generate = watched  # type: ignore[method-assign]
    small.passes().linearise(CODES)[1](*PULLS)
    assert len(alive) > 2
