"""Several processes that share the passes through the networks (`torch.distributed`), each a part of the codes.

The processes, ranks, hold the same codes; each takes its rows through generator and network, and they exchange what
these give. So every method works on several as on one, to rounding. Of eq. 16 not even the encodings are exchanged:
the sum over pairs needs their moments only, one all-reduce of (n, Σe, Σ‖e‖²) a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from invset.core.diversity import Moments
from invset.core.problem import Evaluation, Problem
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

    def tell(self, message: Any = None) -> Any:
        """What the first process says, on all of them.

        Raises:
            RanksError: a process was lost.
        """
        messages = [message]
        with self._exchanging():
            dist.broadcast_object_list(messages, device=torch.device("cpu"))
        return messages[0]

    def spread(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors of the first process, on all; the others give some of the same shapes, types and devices.

        Raises:
            RanksError: a process was lost.
        """
        if not tensors:
            return []
        flat = torch.cat([_bytes(tensor) for tensor in tensors])
        with self._exchanging():
            dist.broadcast(flat, 0)
        parts = flat.split([tensor.nbytes for tensor in tensors])
        return [part.clone().view(one.dtype).view(one.shape) for part, one in zip(parts, tensors, strict=True)]

    def rows(self, tensor: Tensor) -> Tensor:
        """The rows of a tensor (k, …) that are this process's."""
        return tensor.tensor_split(self.size)[self.number]

    def gathered(self, part: Tensor, count: int) -> Tensor:
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

    def added(self, moments: Moments) -> Moments:
        """The moments of the encodings of all processes, by one all-reduce. Raises RanksError: a process was lost."""
        sums = torch.cat([moments.squares.new_tensor([moments.size]), moments.squares[None], moments.sum])
        with self._exchanging():
            dist.all_reduce(sums)
        return Moments(int(sums[0]), sums[2:], sums[1])

    def together(self, work: Callable[[], T]) -> T:
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
        told: list[Any] = [None] * self.size
        with self._exchanging():
            dist.all_gather_object(told, None if failure is None else _line(failure))
        number, text = next((number, text) for number, text in enumerate(told) if text is not None)
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
                f"another process was lost, or did not answer ({_line(error)}). What there is was kept: go on with "
                "resume=FOLDER, with as many processes as you like."
            ) from error
        except BaseException:
            self.broken = True
            raise


class SharedProblem(Problem):
    """A problem whose passes are shared among processes; passes are counted as if there were one.

    Args:
        problem: the same on each.
        ranks: the processes.
        apart: `encode` and `linearise` give the encodings of this process's codes alone, `added` the moments of all.
    """

    def __init__(self, problem: Problem, ranks: Ranks, apart: bool = False) -> None:
        super().__init__(
            problem.generate,
            problem.read,
            objective=problem.objective,
            eight_bit=problem.eight_bit,
            code_bounds=problem.code_bounds,
        )
        self.batches = problem.batches
        self.networks = problem.networks
        self.alone = problem
        self.ranks = ranks
        self.apart = apart

    def evaluate(self, codes: Tensor, first: int = 0) -> Evaluation:
        """As `Problem.evaluate`; each process takes its rows through the networks, and all get all.

        Raises:
            RanksError: another process failed, or was lost.
        """
        mine, offset = self._mine(codes)
        with self._counted(codes, mine):
            part = self.ranks.together(lambda: self.alone.evaluate(mine, first + offset))
        return Evaluation(*(self._whole(tensor, codes) for tensor in part))

    def linearise(
        self, codes: Tensor, *, first: int = 0, batch_size: int | None = None, keep_images: bool = True
    ) -> tuple[Evaluation, Callable[[Tensor, Tensor], Tensor]]:
        """As `Problem.linearise`, shared; micro-batches are of each process's own codes.

        Raises:
            RanksError: another process failed, or was lost.
        """
        mine, offset = self._mine(codes)
        with self._counted(codes, mine):
            part, pull = self.ranks.together(
                lambda: self.alone.linearise(mine, first=first + offset, batch_size=batch_size, keep_images=keep_images)
            )
        rows = len(self.ranks.rows(codes))

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            def pulled() -> Tensor:
                if not rows:
                    return torch.zeros_like(mine[:0])
                encodings = encoding_gradient if self.apart else self.ranks.rows(encoding_gradient)
                return pull(encodings, self.ranks.rows(activation_gradient))

            with self._counted(codes, mine):
                gradient = self.ranks.together(pulled)
            return self.ranks.gathered(gradient, len(codes))

        return Evaluation(
            self._whole(part.images, codes) if keep_images else part.images[:0],
            part.encodings[:rows] if self.apart else self._whole(part.encodings, codes),
            self._whole(part.activations, codes),
        ), pull_back

    def encode(self, codes: Tensor, first: int = 0) -> Evaluation:
        """As `Problem.encode`, shared; encodings are exchanged unless they are kept apart.

        Raises:
            RanksError: another process failed, or was lost.
        """
        mine, offset = self._mine(codes)
        with self._counted(codes, mine):
            part = self.ranks.together(lambda: self.alone.encode(mine, first + offset))
        encodings = part.encodings[: len(self.ranks.rows(codes))] if self.apart else self._whole(part.encodings, codes)
        return part._replace(encodings=encodings, activations=self._whole(part.activations, codes))

    def added(self, moments: Moments) -> Moments:
        """Of the encodings of all processes, where each has its own."""
        return self.ranks.added(moments) if self.apart else moments

    def rows(self, values: Tensor) -> Tensor:
        """Those rows of (k, …) whose encodings are here."""
        return self.ranks.rows(values) if self.apart else values

    def _mine(self, codes: Tensor) -> tuple[Tensor, int]:
        """Codes of this process and how many come before; one of others if there are none, to know shapes by."""
        offset = sum(len(rows) for rows in codes.tensor_split(self.ranks.size)[: self.ranks.number])
        mine = self.ranks.rows(codes)
        return (mine, offset) if len(mine) else (codes[:1], 0)

    def _whole(self, part: Tensor, codes: Tensor) -> Tensor:
        return self.ranks.gathered(part[: len(self.ranks.rows(codes))], len(codes))

    @contextmanager
    def _counted(self, codes: Tensor, mine: Tensor) -> Iterator[None]:
        alone = self.alone
        forward, backward = alone.forward_passes, alone.backward_passes
        yield
        self.forward_passes += (alone.forward_passes - forward) * len(codes) // len(mine)
        self.backward_passes += (alone.backward_passes - backward) * len(codes) // len(mine)


def _bytes(tensor: Tensor) -> Tensor:
    """A window on a contiguous tensor, of a type that every backend sends."""
    return tensor.view(1).view(torch.uint8) if tensor.ndim == 0 else tensor.flatten().view(torch.uint8)


def _line(error: BaseException) -> str:
    text = next(iter(str(error).splitlines()), "")
    return text if isinstance(error, InvsetError) else f"{type(error).__name__}: {text}"
