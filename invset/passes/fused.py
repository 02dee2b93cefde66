"""The networks for one number of codes, made quicker: as a CUDA graph, or compiled; else as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from invset.passes.micro_batches import out_of_memory
from invset.passes.plain import Forward

How = Literal["graphs", "inductor"]


class Fused:
    """Forward made quicker for one k; other numbers of codes go through as before.

    Made when first called; if that fails, `on_failure` is called with the reason, once, and all goes on as before. The
    gradient of one call is to be taken before the next call: a graph has one place for what it keeps.

    Args:
        networks: codes (k, c) to tensors (k, …), differentiable.
        how: `graphs`: one launch for all of a pass's kernels, which are the same; needs CUDA, and no waiting for the
            device in the pass. `inductor`: torch.compile, whose kernels round otherwise.
        rows: k.
    """

    def __init__(self, networks: Forward, how: How, rows: int) -> None:
        self.networks = networks
        self.rows = rows
        self.how = how
        self.on_failure: Callable[[str], None] = lambda reason: None
        self._tried = False
        self._quicker: Forward | None = None

    def __call__(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Codes (k, c) -> what `networks` gives. Raises RuntimeError, MemoryError: memory does not suffice."""
        if len(codes) != self.rows:
            return self.networks(codes)
        if not self._tried:
            self._quicker = self._make(codes)
            self._tried = True
        return (self._quicker or self.networks)(codes)

    def _make(self, codes: Tensor) -> Forward | None:
        make = {"graphs": _capture, "inductor": _compile}[self.how]
        try:
            return make(self.networks, codes)
        except Exception as error:
            if out_of_memory(error):  # with fewer codes, and no graph, it may do
                raise
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        self.on_failure(reason)
        return None


def _capture(networks: Forward, codes: Tensor) -> Forward:
    if not _on_cuda(codes):  # where a graph would hold nothing
        raise RuntimeError(f"a CUDA graph needs a CUDA device, and this is {codes.device}")
    replay: Any = torch.cuda.make_graphed_callables(networks, (_leaf(codes),))

    def replayed(codes: Tensor) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = replay(codes)
        return tuple(output.clone() for output in outputs)  # the next replay writes to the same places

    return replayed


def _compile(networks: Forward, codes: Tensor) -> Forward:
    compiled: Forward = torch.compile(networks, dynamic=False)
    leaf = _leaf(codes)
    total = torch.stack([output.sum() for output in compiled(leaf)]).sum()
    torch.autograd.grad(total, leaf)  # compiles the way back too
    return compiled


def _on_cuda(codes: Tensor) -> bool:
    return codes.is_cuda


def _leaf(codes: Tensor) -> Tensor:
    return codes.detach().clone().requires_grad_(True)
