"""Several processes, ranks, that work on one run (`torch.distributed`), and what they exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from invset.errors import InvsetError, RanksError

T = TypeVar("T")


class Ranks:
    """The place of this process among `size` processes, the first of which is number 0; and what they exchange.

    `broken`: an exchange came to no end, after which there can be no other. `failure`: what all know to have failed.
    """

    def __init__(self) -> None:
        self.number = dist.get_rank()
        self.size = dist.get_world_size()
        self.broken = False
        self.failure: Exception | None = None

    @classmethod
    def join(cls, timeout: timedelta = timedelta(minutes=30)) -> Ranks:
        """Meet the others, as torchrun's environment tells: NCCL between GPUs, gloo for all else.

        Raises:
            RanksError: they cannot be met.
        """
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(backend, timeout=timeout)
        except (RuntimeError, ValueError) as error:
            raise RanksError(f"processes cannot meet ({_line(error)}): start them with torchrun.") from error
        return cls()

    def leave(self) -> None:
        """Part from the others."""
        if not self.broken:
            dist.destroy_process_group()

    def announce(self, message: Any = None) -> Any:
        """What the first process says, on all of them.

        Raises:
            RanksError: a process was lost.
        """
        messages = [message]
        with self._exchanging():
            dist.broadcast_object_list(messages, device=torch.device("cpu"))
        return messages[0]

    def rows(self, tensor: Tensor) -> Tensor:
        """The rows of a tensor (k, …) that are this process's."""
        return tensor.tensor_split(self.size)[self.number]

    def gather(self, part: Tensor, count: int) -> Tensor:
        """All rows (count, …) from the rows that each process has; bit for bit.

        Raises:
            RanksError: a process was lost.
        """
        most = -(-count // self.size)
        padded = part.new_zeros(most, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        with self._exchanging():
            dist.all_gather([_bytes(one) for one in parts], _bytes(padded))
        sizes = [len(rows) for rows in torch.arange(count).tensor_split(self.size)]
        return torch.cat([rows[:size] for rows, size in zip(parts, sizes, strict=True)])

    def attempt(self, work: Callable[[], T]) -> T:
        """Do work that exchanges nothing, on all processes; if it fails on one, it has failed on all.

        Raises:
            RanksError: it failed on another.
        """
        try:
            result, failure = work(), None
        except Exception as error:
            failure = error
        failed = torch.tensor(failure is not None, dtype=torch.int32)
        with self._exchanging():
            dist.all_reduce(failed)
        if not failed:
            return result
        failures: list[Any] = [None] * self.size
        with self._exchanging():
            dist.all_gather_object(failures, None if failure is None else _line(failure))
        number, text = next((number, text) for number, text in enumerate(failures) if text is not None)
        self.failure = failure or RanksError(f"process {number} of {self.size}: {text}")
        raise self.failure

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Of work that exchanges: if it fails here, and the others do not know of it, there can be no other."""
        try:
            yield
        except BaseException as error:
            self.broken = self.broken or error is not self.failure
            raise

    @contextmanager
    def _exchanging(self) -> Iterator[None]:
        if self.broken:
            raise RanksError("a process was lost.")
        try:
            yield
        except RuntimeError as error:
            self.broken = True
            raise RanksError(
                f"another process was lost, or did not answer ({_line(error)}). What there is was kept: resume "
                "the run, with as many processes as you like."
            ) from error
        except BaseException:
            self.broken = True
            raise


def _bytes(tensor: Tensor) -> Tensor:
    """A window on a contiguous tensor, of a type that every backend sends."""
    return tensor.view(1).view(torch.uint8) if tensor.ndim == 0 else tensor.flatten().view(torch.uint8)


def _line(error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "")
    return text if isinstance(error, InvsetError) else f"{type(error).__name__}: {text}"
