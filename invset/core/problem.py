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


BEYOND = (
    "NaN or infinite: the weights or the codes are beyond what the networks can compute. Check the weights, bound the "
    "codes, or compute in float32."
)


class Evaluation(NamedTuple):
    """What k codes give: images (k, 3, h, w) in [0, 1], encodings (k, d), activations (k, p)."""

    images: Tensor
    encodings: Tensor
    activations: Tensor

    @property
    def finite(self) -> Tensor:
        """(k,) bool: neither the encoding nor an activation is NaN or infinite."""
        return _finite(self.encodings) & _finite(self.activations)


@dataclass
class Counts:
    """How many codes went forward, and backward, through generator and network; how many of a step's gave NaN."""

    forward: int = 0
    backward: int = 0
    not_finite: int = 0


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
    """Codes to images, encodings and p activations.

    Args:
        passes: codes through the networks.
        code_bounds: (lowest, highest) value of a code's entries, or None.
    """

    def __init__(self, passes: Passes, code_bounds: tuple[float, float] | None = None) -> None:
        self.passes = passes
        self.code_bounds = code_bounds

    def evaluate(self, codes: Tensor) -> Evaluation:
        """(k, c) codes -> images, encodings and activations, without a gradient.

        Activations are NaN, which is in no range, where one of them, or the encoding, is not finite.
        """
        evaluation = self.passes.evaluate(codes)
        unknown = ~evaluation.finite[:, None]
        return evaluation._replace(activations=evaluation.activations.masked_fill(unknown, torch.nan))

    def linearise(self, codes: Tensor, *, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """(k, c) codes -> their evaluation, and what pulls gradients back to the codes; for a step.

        Raises:
            NonFiniteError: an activation or encoding is NaN or infinite; the gradient, when it is pulled back.
        """
        evaluation, pull_back = self.passes.linearise(codes, keep_images)

        def pull_back_finite(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            gradient = pull_back(encoding_gradient, activation_gradient)
            self._require_finite("the gradient", _finite(gradient))
            return gradient

        self._require_finite("the activation or encoding", evaluation.finite)
        return evaluation, pull_back_finite

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

    def _require_finite(self, what: str, finite: Tensor) -> None:
        if not finite.all():
            count = int((~finite).sum())
            self.passes.counts.not_finite += count
            error = NonFiniteError(f"{what} of {count} of {len(finite)} codes became {BEYOND}")
            error.rows = ~finite
            raise error


def require_some(finite: Tensor) -> Tensor:
    """`finite` (k,) bool of k codes. Raises NonFiniteError: none of them is."""
    if not finite.any():
        raise NonFiniteError(f"what all of {len(finite)} codes give is {BEYOND}")
    return finite


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


def _finite(values: Tensor) -> Tensor:
    """(k, …) -> (k,) bool."""
    return values.isfinite().flatten(1).all(dim=1)
