"""How much goes through the networks at once: all of it, or so many; and when memory runs out half, and half again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from invset.core.problem import Evaluation, Passes, PullBack
from invset.errors import OutOfMemoryError

Outputs = TypeVar("Outputs", bound=tuple[Any, ...])

# What torch, its allocators, cuDNN and cuBLAS say, each in their own words.
WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "cannot allocate memory")


class Batches:
    """Runs work on a batch, in smaller batches once memory has run out; what it has learned holds from then on.

    `largest` is the most rows that go through at once, None as long as memory sufficed. `on_smaller` is called with a
    new `largest`, once work has been done with it.
    """

    def __init__(self) -> None:
        self.largest: int | None = None
        self.on_smaller: Callable[[int], None] = lambda largest: None
        self._announced: int | None = None

    def learn(self, largest: int) -> None:
        """Begin with what was found before."""
        self.largest = self._announced = self.cap(largest)

    def cap(self, size: int) -> int:
        """The most rows at once where `size` are wanted."""
        return size if self.largest is None else min(size, self.largest)

    def split(self, work: Callable[[Tensor, int], Outputs], rows: Tensor, size: int | None = None) -> Outputs:
        """`work` on rows (k, …), `size` at a time at most: given some and the number of the first; outputs joined.

        A batch that memory does not suffice for is done again in halves.

        Raises:
            RuntimeError, MemoryError: memory does not suffice for a single row.
        """
        parts: list[Outputs] = []
        first, size = 0, size or max(len(rows), 1)
        while first < len(rows) or not parts:
            part = rows[first : first + self.cap(size)]
            output = self.attempt(partial(work, part, first), len(part))
            if output is not None:
                parts.append(output)
                first += len(part)
        if len(parts) == 1:
            return parts[0]
        joined = [torch.cat(tensors) for tensors in zip(*parts, strict=True)]
        kind: Any = type(parts[0])
        return cast(Outputs, kind._make(joined) if hasattr(kind, "_make") else kind(joined))

    def over(self, read: Callable[[Tensor], tuple[Tensor, ...]]) -> Callable[[Tensor], tuple[Tensor, ...]]:
        """`read`, which maps rows (k, …) to rows, for as many rows as there are."""
        return lambda rows: self.split(lambda part, _: read(part), rows)

    def attempt(self, work: Callable[[], Outputs], size: int) -> Outputs | None:
        """What work on `size` rows gives; None if memory ran out: it is to be done again with `largest` at most.

        Raises:
            RuntimeError, MemoryError: as `split`.
        """
        try:
            done = work()
        except (RuntimeError, MemoryError) as error:
            if size <= 1 or not out_of_memory(error):
                raise
        else:
            if self.largest is not None and self.largest != self._announced:
                self._announced = self.largest
                self.on_smaller(self.largest)
            return done
        # Here the error is gone, and with it its hold on what the failed work had made.
        self.largest = self.cap(size // 2)
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return None


class MicroBatches:
    """Passes in parts. A gradient then takes two forward passes, and memory for the networks does not grow with k.

    Args:
        passes: what each part goes through.
        size: codes at once; None: all, as long as memory suffices.
    """

    def __init__(self, passes: Passes, size: int | None = None) -> None:
        self.passes = passes
        self.size = size
        self.batches = Batches()
        self.counts = passes.counts

    def evaluate(self, codes: Tensor, keep_images: bool = True) -> Evaluation:
        """(k, c) codes -> images, encodings and activations, without a gradient."""

        def evaluated(part: Tensor, _: int) -> Evaluation:
            evaluation = self.passes.evaluate(part)
            return evaluation if keep_images else evaluation._replace(images=evaluation.images[:0])

        return self.batches.split(evaluated, codes, self.size)

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """(k, c) codes -> their evaluation, and what pulls gradients back: at once if they fit, else part by part."""
        batches, size = self.batches, self.size or max(len(codes), 1)
        whole: list[PullBack] = []
        evaluation = None
        if len(codes) <= batches.cap(size):
            found = batches.attempt(lambda: self.passes.linearise(codes, keep_images), len(codes))
            if found is not None:
                evaluation = found[0]
                whole.append(found[1])
        if evaluation is None:
            evaluation = self.evaluate(codes, keep_images)

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            def pulled(part: Tensor, start: int) -> tuple[Tensor]:
                rows = slice(start, start + len(part))
                _, back = self.passes.linearise(part, keep_images=False)
                return (back(encoding_gradient[rows], activation_gradient[rows]),)

            if whole:  # popped, so that its graph goes before there is another attempt
                done = batches.attempt(lambda: (whole.pop()(encoding_gradient, activation_gradient),), len(codes))
                if done is not None:
                    return done[0]
            return batches.split(pulled, codes, size)[0]

        return evaluation, pull_back


@contextmanager
def describing_memory(advice: str) -> Iterator[None]:
    """Say in one line that memory ran out all the same, and what to do. Raises OutOfMemoryError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemoryError(f"out of memory, and halving batches did not help: {advice}.") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out, on whatever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in WORDS)
