"""`method=pixel_ascent`: activation maximisation on the pixels themselves (Erhan et al. 2009), with others' terms.

Each term is off until its setting turns it on; see `image_terms` for who proposed which. A step is, in this order:
gradient, at an image that is shifted about and back (jitter); minus that of the total variation; nothing near the edges
(centre bias); the step; decay; blur; pixels of small norm and of small contribution to grey; into [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.baselines import image_terms as terms
from invset.baselines.chains import Chains, Plan, Take, along, between
from invset.core.problem import Evaluation, Problem
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.core.seeding import Draw
from invset.core.state import State
from invset.errors import ConfigError


@dataclass(frozen=True)
class PixelAscentSettings:
    """Plain ascent by DeepDream's step (google/deepdream:dream.ipynb); the originals keep a round's last image alone.

    Published values, which are for pixels of 0 to 255: Yosinski's of most pictures are decay 0.0001, blur of radius 1
    every 4 steps, 1,000 steps; others blur 0.5 every 4 with small_norm 50, decay 0.3 with small_norm 20, blur 0.5 every
    4 with small_contribution 90 (yosinski/deep-visualization-toolbox:doc/running-optimize-image.md). DeepDream's
    jitter is 32 pixels of 224.

    Attributes:
        step: mean change of a pixel, of 1; without `normalise` what the gradient is multiplied by.
        end_step: the same at a round's end; None: as `step`.
        normalise: divide the gradient by its mean absolute entry.
        decay: share of the way to grey at every step, 0 … 1.
        grey: what decays and small pixels go to.
        blur_radius: in pixels; 0: no blur.
        blur_every: steps from one blur to the next, the first step's first.
        small_norm: percentile, 0 … 100.
        small_contribution: percentile, 0 … 100.
        total_variation: its weight beside the activations.
        beta: its exponent.
        jitter: the longest shift, in pixels; a step then takes a second forward pass, of the image as it is.
        margin: where the gradient counts for nothing, a share of the side, 0 … 1/2.
        steps: a round.
        rounds: how often chains start anew, the first time included; None: until there are samples enough.
        take: every step's codes, or the last alone.

    Raises:
        ConfigError: a setting is outside what it can be.
    """

    step: float = 1.5 / 255
    end_step: float | None = None
    normalise: bool = True
    decay: float = 0.0
    grey: float = 0.5
    blur_radius: float = 0.0
    blur_every: int = 4
    small_norm: float = 0.0
    small_contribution: float = 0.0
    total_variation: float = 0.0
    beta: float = 2.0
    jitter: int = 0
    margin: float = 0.0
    steps: int = 200
    rounds: int | None = None
    take: Take = "every_step"

    def __post_init__(self) -> None:
        limits = {
            "decay": 1, "grey": 1, "blur_radius": math.inf, "small_norm": 100, "small_contribution": 100,
            "total_variation": math.inf, "jitter": math.inf, "margin": 0.4999,
        }  # fmt: skip
        for name, most in limits.items():
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"pixel_ascent: {name}={getattr(self, name)} has to lie between 0 and {most}.")
        if self.blur_every < 1 or self.beta < 1:
            raise ConfigError(f"pixel_ascent: blur_every={self.blur_every} and beta={self.beta} have to be 1 or more.")


class PixelAscent(Chains):
    """Ascent on the sum of the activations, each image by itself; for codes that are the images (generator=pixels).

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        draw: (chain, attempt) -> a start image as a code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        settings: see `PixelAscentSettings`.
        image_shape: (3, h, w) of an image, in whose order codes hold it.
        chains: K.
        random_seed: of the jitter.
        batch_size: images that go through the network at once.

    Raises:
        ConfigError: settings make no sense.
    """

    def __init__(
        self,
        problem: Problem,
        region: Region,
        draw: Draw,
        references: Tensor,
        settings: PixelAscentSettings,
        image_shape: tuple[int, int, int],
        *,
        chains: int = 10,
        random_seed: int = 0,
        batch_size: int | None = None,
    ) -> None:
        plan = Plan(chains, settings.steps, settings.rounds, settings.take, random_seed, batch_size)
        super().__init__(problem, region, draw, references, plan)
        if math.prod(image_shape) != references.shape[1]:
            raise ConfigError(
                f"method=pixel_ascent: a code has {references.shape[1]} numbers and an image {math.prod(image_shape)}; "
                "its codes are the images themselves: use generator=pixels."
            )
        self.settings = settings
        self.image_shape = image_shape

    def _move(self, state: State) -> tuple[Evaluation, Tensor]:
        images = state.codes.view(-1, *self.image_shape)
        if not self.settings.jitter:
            evaluation, gradient = self._ascended(images)
            return evaluation, self._regularised(images, gradient, state).flatten(1)
        shifts = self._shifts(state)
        evaluation = self._evaluated(state.codes)
        _, gradient = self._ascended(terms.shifted(images, shifts), keep_images=False)
        gradient = terms.shifted(gradient, [(-down, -right) for down, right in shifts])
        return evaluation, self._regularised(images, gradient, state).flatten(1)

    def _ascended(self, images: Tensor, keep_images: bool = True) -> tuple[Evaluation, Tensor]:
        """What images give, and the gradient of the sum of their activations."""
        batch_size = self.plan.batch_size
        evaluation, pull_back = self.problem.linearise(
            images.flatten(1), batch_size=batch_size, keep_images=keep_images
        )
        gradient = pull_back(torch.zeros_like(evaluation.encodings), torch.ones_like(evaluation.activations))
        return evaluation, gradient.view(images.shape)

    def _evaluated(self, codes: Tensor) -> Evaluation:
        size = self.plan.batch_size or len(codes)
        parts = [self.problem.evaluate(part, i * size) for i, part in enumerate(codes.split(size))]
        return Evaluation(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def _regularised(self, images: Tensor, gradient: Tensor, state: State) -> Tensor:
        """The images after a step along the gradient, with all terms that are on."""
        settings, direction = self.settings, gradient
        if settings.total_variation:
            direction = direction - settings.total_variation * terms.total_variation_gradient(images, settings.beta)
        if settings.margin:
            direction = direction * terms.centre_mask(images, settings.margin)
        step = between(settings.step, settings.end_step, self._share(state))
        move = along(direction.flatten(1), step).view(images.shape) if settings.normalise else step * direction
        images = images + move
        if settings.decay:
            images = terms.decayed(images, settings.decay, settings.grey)
        if settings.blur_radius and state.inner % settings.blur_every == 0:
            images = terms.blurred(images, settings.blur_radius)
        if settings.small_norm:
            images = terms.without_small_norms(images, settings.small_norm, settings.grey)
        if settings.small_contribution:
            images = terms.without_small_contributions(images, gradient, settings.small_contribution, settings.grey)
        return images

    def _shifts(self, state: State) -> list[tuple[int, int]]:
        """How far each image is moved (down, right) in a step from this state, jitter at most."""
        jitter, shifts = self.settings.jitter, []
        for chain in range(len(state.codes)):
            randomness = seeded_generator("jitter", self.plan.random_seed, state.step, chain)
            down, right = torch.randint(-jitter, jitter + 1, (2,), generator=randomness).tolist()
            shifts.append((down, right))
        return shifts
