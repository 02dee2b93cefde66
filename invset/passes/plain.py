"""Codes through the networks all at once: the forward pass, and autograd's way back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invset.core.problem import Counts, Evaluation, PullBack

Forward = Callable[[Tensor], tuple[Tensor, ...]]
"""codes (k, c) -> images, encodings, activations, differentiable: a `Pipeline`, or what makes one quicker"""


class Plain:
    """Passes with nothing around them.

    Args:
        networks: codes to an evaluation's tensors.
        differentiated: the same, for passes of which a gradient is taken; by default `networks`.
    """

    def __init__(self, networks: Forward, differentiated: Forward | None = None) -> None:
        self.networks = networks
        self.differentiated = differentiated or networks
        self.counts = Counts()

    def evaluate(self, codes: Tensor) -> Evaluation:
        """(k, c) codes -> images, encodings and activations, without a gradient."""
        with torch.no_grad():
            evaluation = Evaluation(*self.networks(codes))
        self.counts.forward += len(codes)
        return evaluation

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """(k, c) codes -> their evaluation, and what pulls gradients back to the codes."""
        leaf = codes.detach().requires_grad_(True)
        with torch.enable_grad():
            images, encodings, activations = self.differentiated(leaf)
        self.counts.forward += len(codes)

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            # One number to differentiate: given several outputs, autograd.grad imports SymPy first.
            with torch.enable_grad():
                inner = (activations * activation_gradient).sum() + (encodings * encoding_gradient).sum()
            (gradient,) = torch.autograd.grad(inner, leaf)
            self.counts.backward += len(codes)
            return gradient

        kept = images.detach() if keep_images else images[:0].detach()
        return Evaluation(kept, encodings.detach(), activations.detach()), pull_back
