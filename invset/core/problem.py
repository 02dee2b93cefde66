"""What a sampler needs to know: from codes to images, encodings and activations, and back (eqs. 1, 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from invset.errors import NonFiniteError

Objective = Literal["encodings", "images", "codes", "none"]
PullBack = Callable[[Tensor, Tensor], Tensor]
"""∂L/∂encodings (k, d) and ∂L/∂activations (k, p) -> ∂L/∂codes (k, c); called once at most."""


class Evaluation(NamedTuple):
    """What k codes give: images (k, 3, h, w) in [0, 1], encodings (k, d), activations (k, p)."""

    images: Tensor
    encodings: Tensor
    activations: Tensor


@dataclass
class Counts:
    """How many codes went forward, and backward, through generator and network."""

    forward: int = 0
    backward: int = 0


class Passes(Protocol):
    """How codes go through the networks: at once, in parts, by several processes; what they give is the same."""

    counts: Counts

    def evaluate(self, codes: Tensor) -> Evaluation:
        """(k, c) codes -> images, encodings and activations, without a gradient."""

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """(k, c) codes -> their evaluation, its images (0, …) unless they are to be kept, and what pulls back."""


class Pipeline:
    """One pass through the generator, one through the network: codes (k, c) to what they give, differentiable.

    Args:
        generate: codes (k, c) -> images (k, 3, h, w), differentiable.
        read: images -> (encodings (k, d), activations (k, p)) in one forward pass, differentiable.
        objective: where distances between samples are measured: `encodings` E(G(c)) (eq. 6), `images` G(c) (eq. 5),
            `codes` c (eq. 14); with `none` (eq. 15) encodings are still returned but nothing pulls on them.
        eight_bit: the images are those of an 8-bit file: clamped to [0, 1] and rounded to 1/255, with the gradient
            passed straight through, so that the activation in the loop is that of the saved image.
    """

    def __init__(
        self,
        generate: Callable[[Tensor], Tensor],
        read: Callable[[Tensor], tuple[Tensor, Tensor]],
        *,
        objective: Objective = "encodings",
        eight_bit: bool = True,
    ) -> None:
        self.generate = generate
        self.read = read
        self.objective = objective
        self.eight_bit = eight_bit

    def __call__(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(k, c) codes -> images, what distances are measured between, and activations."""
        images = self.generate(codes)
        if self.eight_bit:
            images = round_to_eight_bits(images)
        encodings, activations = self.read(images)
        if self.objective == "images":
            encodings = images.flatten(1)
        elif self.objective == "codes":
            encodings = codes
        elif self.objective == "none":
            encodings = encodings.detach()
        return images, encodings, activations


class Problem:
    """Codes to images, encodings and p activations, every one of them finite.

    Args:
        passes: codes through the networks.
        code_bounds: (lowest, highest) value of a code's entries, or None.
    """

    def __init__(self, passes: Passes, code_bounds: tuple[float, float] | None = None) -> None:
        self.passes = passes
        self.code_bounds = code_bounds

    def evaluate(self, codes: Tensor, chains: Tensor | None = None) -> Evaluation:
        """(k, c) codes, of `chains` (k,) -> images, encodings and activations, without a gradient.

        Raises:
            NonFiniteError: an activation or encoding is NaN or infinite.
        """
        return _checked(self.passes.evaluate(codes), chains)

    def linearise(
        self, codes: Tensor, chains: Tensor | None = None, *, keep_images: bool = True
    ) -> tuple[Evaluation, PullBack]:
        """(k, c) codes, of `chains` (k,) -> their evaluation, and what pulls gradients back to the codes.

        Raises:
            NonFiniteError: an activation or encoding is NaN or infinite; the gradient, when it is pulled back.
        """
        evaluation, pull_back = self.passes.linearise(codes, keep_images)

        def pull_back_finite(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            gradient = pull_back(encoding_gradient, activation_gradient)
            _require_finite(gradient, "the gradient", chains)
            return gradient

        return _checked(evaluation, chains), pull_back_finite

    def bound(self, codes: Tensor) -> Tensor:
        """The nearest codes within the bounds."""
        return codes if self.code_bounds is None else codes.clamp(*self.code_bounds)

    def free(self, codes: Tensor, gradient: Tensor) -> Tensor:
        """The gradient (k, c) without the entries that would take codes (k, c) at a bound beyond it, downhill."""
        if self.code_bounds is None:
            return gradient
        lowest, highest = self.code_bounds
        blocked = ((codes <= lowest) & (gradient > 0)) | ((codes >= highest) & (gradient < 0))
        return gradient.masked_fill(blocked, 0)


def round_to_eight_bits(images: Tensor) -> Tensor:
    """Clamp to [0, 1] and round to multiples of 1/255, exactly as a saved image reads; the gradient passes through."""
    return _EightBits.apply(images)


class _EightBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, images: Tensor) -> Tensor:
        return images.clamp(0, 1).mul_(255).round_().div_(255)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def _checked(evaluation: Evaluation, chains: Tensor | None) -> Evaluation:
    _require_finite(evaluation.activations, "the activation", chains, evaluation.encodings)
    return evaluation


def _require_finite(values: Tensor, what: str, chains: Tensor | None, also: Tensor | None = None) -> None:
    finite = _finite(values) if also is None else _finite(values) & _finite(also)
    if finite.all():
        return
    rows = (~finite).nonzero().flatten().cpu()
    numbers = (rows if chains is None else chains.cpu()[rows]) + 1
    raise NonFiniteError(
        f"{what if not _finite(values).all() else 'the encoding'} of chain {', '.join(map(str, numbers[:5].tolist()))} "
        "became NaN or infinite: the weights or the codes are beyond what the networks can compute. Check the weights, "
        "bound the codes, or compute in float32."
    )


def _finite(values: Tensor) -> Tensor:
    """(k, …) -> (k,) bool."""
    return values.isfinite().flatten(1).all(dim=1)
