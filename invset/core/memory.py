"""How much goes through the networks at once: all of it, until memory runs out; then half, and half again."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

Outputs = TypeVar("Outputs", bound=tuple[Any, ...])

# What torch, its allocators, cuDNN and cuBLAS say, each in their own words.
WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed", "cannot allocate memory")


class Batches:
    """Runs work on a batch, in smaller batches once memory has run out; what it has learned holds from then on.

    `largest` is the most rows that go through at once, None as long as memory sufficed. `on_smaller` is told of a new
    `largest`, once work has been done with it.
    """

    def __init__(self, largest: int | None = None) -> None:
        self.largest = largest
        self.on_smaller: Callable[[int], None] = lambda largest: None
        self._told = largest

    def learn(self, largest: int) -> None:
        """Begin with what was found before, which needs no telling."""
        self.largest = self._told = self.capped(largest)

    def capped(self, size: int) -> int:
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
            part = rows[first : first + self.capped(size)]
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
            if self.largest != self._told and self.largest is not None:
                self._told = self.largest
                self.on_smaller(self.largest)
            return done
        # Here the error is gone, and with it its hold on what the failed work had made.
        self.largest = self.capped(size // 2)
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out, on whatever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in WORDS)
