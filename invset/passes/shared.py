"""Passes shared between processes, each of which takes some of the codes through its own copy of the networks.

The processes hold the same codes, and exchange what these give: every method works on several as on one, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from invset.core.problem import Counts, Evaluation, Passes, PullBack
from invset.passes.ranks import Ranks


class Shared:
    """Passes of which each process makes a part; they are counted as if there were one.

    Args:
        passes: this process's own.
        ranks: the processes.
    """

    def __init__(self, passes: Passes, ranks: Ranks) -> None:
        self.passes = passes
        self.ranks = ranks
        self.counts = Counts()

    def evaluate(self, codes: Tensor) -> Evaluation:
        """(k, c) codes -> images, encodings and activations; each process takes its rows, and all get all.

        Raises:
            RanksError: another process failed, or was lost.
        """
        mine = self._own(codes)
        with self._counting(codes, mine):
            part = self.ranks.attempt(lambda: self.passes.evaluate(mine))
        return Evaluation(*(self._gather(tensor, codes) for tensor in part))

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """(k, c) codes -> their evaluation, and what pulls gradients back; micro-batches are of a process's own codes.

        Raises:
            RanksError: another process failed, or was lost.
        """
        mine = self._own(codes)
        with self._counting(codes, mine):
            part, pull = self.ranks.attempt(lambda: self.passes.linearise(mine, keep_images))

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            rows = [self.ranks.rows(gradient) for gradient in (encoding_gradient, activation_gradient)]
            with self._counting(codes, mine):
                gradient = self.ranks.attempt(lambda: pull(*rows) if len(rows[0]) else torch.zeros_like(mine[:0]))
            return self.ranks.gather(gradient, len(codes))

        images = self._gather(part.images, codes) if keep_images else part.images
        return part._replace(
            images=images,
            encodings=self._gather(part.encodings, codes),
            activations=self._gather(part.activations, codes),
        ), pull_back

    def _own(self, codes: Tensor) -> Tensor:
        """Codes of this process; one of others' if there are none, to know shapes by."""
        mine = self.ranks.rows(codes)
        return mine if len(mine) else codes[:1]

    def _gather(self, part: Tensor, codes: Tensor) -> Tensor:
        return self.ranks.gather(part[: len(self.ranks.rows(codes))], len(codes))

    @contextmanager
    def _counting(self, codes: Tensor, mine: Tensor) -> Iterator[None]:
        own = self.passes.counts
        forward, backward = own.forward, own.backward
        yield
        self.counts.forward += (own.forward - forward) * len(codes) // len(mine)
        self.counts.backward += (own.backward - backward) * len(codes) // len(mine)
