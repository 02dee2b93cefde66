"""What a sampler needs to know: from codes to images, encodings and activations, and back (eqs. 1, 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from invset.core.diversity import Moments
from invset.core.memory import Batches
from invset.errors import NonFiniteError

Objective = Literal["encodings", "images", "codes", "none"]


class Evaluation(NamedTuple):
    """What k codes give: images (k, 3, h, w) in [0, 1], encodings (k, d), activations (k, p)."""

    images: Tensor
    encodings: Tensor
    activations: Tensor


class Problem:
    """Codes to images, encodings and p activations: one pass through the generator, one through the network.

    Args:
        generate: codes (k, c) -> images (k, 3, h, w), differentiable.
        read: images -> (encodings (k, d), activations (k, p)) in one forward pass, differentiable.
        objective: where distances between samples are measured: `encodings` E(G(c)) (eq. 6), `images` G(c) (eq. 5),
            `codes` c (eq. 14); with `none` (eq. 15) encodings are still returned but nothing pulls on them.
        eight_bit: the images are those of an 8-bit file: clamped to [0, 1] and rounded to 1/255, with the gradient
            passed straight through, so that the activation in the loop is that of the saved image.
        code_bounds: (lowest, highest) value of a code's entries, or None.

    `forward_passes` and `backward_passes` count the codes that went through the generator and the network. `batches`
    halves what goes through at once whenever memory runs out; then a gradient takes two forward passes. `networks` are
    the passes of which gradients are taken, codes to an evaluation's tensors: what makes them quicker may replace it.
    """

    def __init__(
        self,
        generate: Callable[[Tensor], Tensor],
        read: Callable[[Tensor], tuple[Tensor, Tensor]],
        *,
        objective: Objective = "encodings",
        eight_bit: bool = True,
        code_bounds: tuple[float, float] | None = None,
    ) -> None:
        self.generate = generate
        self.read = read
        self.objective = objective
        self.eight_bit = eight_bit
        self.code_bounds = code_bounds
        self.batches = Batches()
        self.networks: Callable[[Tensor], tuple[Tensor, ...]] = self._through
        self.forward_passes = 0
        self.backward_passes = 0

    def evaluate(self, codes: Tensor, first: int = 0) -> Evaluation:
        """(k, c) codes, of the chains from `first` on -> images, encodings and activations, without a gradient."""
        with torch.no_grad():
            return self.batches.split(lambda part, start: self._checked(self._through(part), first + start), codes)

    def linearise(
        self, codes: Tensor, *, first: int = 0, batch_size: int | None = None, keep_images: bool = True
    ) -> tuple[Evaluation, Callable[[Tensor, Tensor], Tensor]]:
        """(k, c) codes, of the chains from `first` on -> their evaluation, and what pulls gradients back to the codes.

        The function takes ∂L/∂encodings (k, d) and ∂L/∂activations (k, p), returns ∂L/∂codes (k, c), and is called
        at most once. More codes than `batch_size`, or than memory suffices for, take two forward passes instead of
        one, in micro-batches, so that the memory of the networks does not grow with k; the gradient is the same.
        Without `keep_images`, the images of the evaluation are empty.
        """
        batches, size = self.batches, batch_size or max(len(codes), 1)

        def evaluated(part: Tensor, start: int) -> Evaluation:
            evaluation = self._checked(self._through(part), first + start)
            return evaluation if keep_images else evaluation._replace(images=evaluation.images[:0])

        whole: list[Callable[[Tensor, Tensor], Tensor]] = []
        evaluation = None
        if len(codes) <= batches.capped(size):
            found = batches.attempt(lambda: self._linearise(codes, first), len(codes))
            if found is not None:
                evaluation = found[0] if keep_images else found[0]._replace(images=found[0].images[:0])
                whole.append(found[1])
        if evaluation is None:
            with torch.no_grad():
                evaluation = batches.split(evaluated, codes, size)

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            def pulled(part: Tensor, start: int) -> tuple[Tensor]:
                rows = slice(start, start + len(part))
                back = self._linearise(part, first + start)[1]
                return (back(encoding_gradient[rows], activation_gradient[rows]),)

            if whole:  # popped, so that its graph goes before there is another attempt
                done = batches.attempt(lambda: (whole.pop()(encoding_gradient, activation_gradient),), len(codes))
                if done is not None:
                    return done[0]
            return batches.split(pulled, codes, size)[0]

        return evaluation, pull_back

    def _linearise(self, codes: Tensor, first: int = 0) -> tuple[Evaluation, Callable[[Tensor, Tensor], Tensor]]:
        leaf = codes.detach().requires_grad_(True)
        with torch.enable_grad():
            evaluation = self._checked(self.networks(leaf), first)

        def pull_back(encoding_gradient: Tensor, activation_gradient: Tensor) -> Tensor:
            # One number to differentiate: given several outputs, autograd.grad imports SymPy first.
            with torch.enable_grad():
                inner = (evaluation.activations * activation_gradient).sum()
                if self.objective != "none":
                    inner = inner + (evaluation.encodings * encoding_gradient).sum()
            (gradient,) = torch.autograd.grad(inner, leaf)
            self.backward_passes += len(codes)
            if not (finite := _finite(gradient)).all():
                raise _not_finite(finite, "the gradient", first)
            return gradient

        return Evaluation(*(tensor.detach() for tensor in evaluation)), pull_back

    def encode(self, codes: Tensor, first: int = 0) -> Evaluation:
        """As `evaluate`, without images, and with the encodings of `rows` alone."""
        evaluation = self.evaluate(codes, first)
        return evaluation._replace(images=evaluation.images[:0])

    def added(self, moments: Moments) -> Moments:
        """Of all codes, given those of the encodings of `rows`: of this process's codes, where several share them."""
        return moments

    def rows(self, values: Tensor) -> Tensor:
        """Those rows of (k, …) whose encodings are here: all."""
        return values

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

    def _through(self, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes to images, what distances are measured between, and activations: the networks, and nothing else."""
        images = self.generate(codes)
        if self.eight_bit:
            images = round_to_eight_bits(images)
        encodings, activations = self.read(images)
        if self.objective == "images":
            encodings = images.flatten(1)
        elif self.objective == "codes":
            encodings = codes
        return images, encodings, activations

    def _checked(self, outputs: tuple[Tensor, ...], first: int) -> Evaluation:
        evaluation = Evaluation(*outputs)
        self.forward_passes += len(evaluation.activations)
        finite = _finite(evaluation.activations) & _finite(evaluation.encodings)
        if not finite.all():
            what = "the encodings" if _finite(evaluation.activations).all() else "the activations"
            raise _not_finite(finite, what, first)
        return evaluation


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


def _not_finite(finite: Tensor, what: str, first: int) -> NonFiniteError:
    chains = ((~finite).nonzero().flatten() + first).tolist()
    return NonFiniteError(
        f"{what} of chain {', '.join(map(str, chains[:5]))} became NaN or infinite: the weights or the codes are "
        "beyond what the networks can compute; check the weights, bound the codes (code.bounds=[low,high]), or "
        "compute in float32 (precision=float32)"
    )
