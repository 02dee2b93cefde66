"""`method=pixel_ascent`: activation maximisation on the pixels themselves (Erhan et al. 2009), with others' terms.

Each term is off until its setting turns it on; see `image_terms` for who proposed which. A step is, in this order:
gradient, at an image that is shifted about and back (jitter); minus that of the total variation; nothing near the edges
(centre bias); the step; decay; blur; pixels of small norm and of small contribution to grey; into [0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from invset.baselines import image_terms as terms
from invset.baselines.rounds import Rounds, RoundSettings, RoundState, along, between
from invset.core.chains import Draw
from invset.core.problem import Evaluation, Problem
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.errors import ConfigError
from invset.settings import Takes, at_least, is_number, setting, within

POSITIVE = Takes(lambda value: is_number(value) and value >= 0, "0 or more")


@dataclass(frozen=True)
class PixelAscentSettings(RoundSettings):
    """Plain ascent by DeepDream's step (google/deepdream:dream.ipynb); the originals keep a round's last image alone.

    Published values, which are for pixels of 0 to 255: Yosinski's of most pictures are decay 0.0001, blur of radius 1
    every 4 steps, 1,000 steps; others blur 0.5 every 4 with small_norm 50, decay 0.3 with small_norm 20, blur 0.5 every
    4 with small_contribution 90 (yosinski/deep-visualization-toolbox:doc/running-optimize-image.md). DeepDream's
    jitter is 32 pixels of 224.
    """

    step: float = setting(0.00588, "mean change of a pixel, of 1; without normalise what the gradient is multiplied by")
    end_step: float | None = setting(None, "the same at a round's end; null: as step")
    normalise: bool = setting(True, "divide the gradient by its mean absolute entry")
    decay: float = setting(0.0, "share of the way to grey at every step", within(0, 1))
    grey: float = setting(0.5, "what decays and small pixels go to", within(0, 1))
    blur_radius: float = setting(0.0, "in pixels; 0: no blur", POSITIVE)
    blur_every: int = setting(4, "steps from one blur to the next, the first step's first", at_least(1))
    small_norm: float = setting(0.0, "pixels whose norm is below this percentile become grey", within(0, 100))
    small_contribution: float = setting(0.0, "the same by their contribution to the activations", within(0, 100))
    total_variation: float = setting(0.0, "its weight beside the activations", POSITIVE)
    beta: float = setting(2.0, "its exponent", Takes(lambda value: is_number(value) and value >= 1, "1 or more"))
    jitter: int = setting(0, "the longest shift, in pixels; a step then takes a second forward pass", at_least(0))
    margin: float = setting(0.0, "where the gradient counts for nothing, a share of the side", within(0, 0.4999))


class PixelAscent(Rounds):
    """Ascent on the sum of the activations, each image by itself; for codes that are the images.

    Args:
        image_shape: (3, h, w) of an image, in whose order codes hold it. All else as for `Rounds`.

    Raises:
        ConfigError: codes are no images.
    """

    Settings: ClassVar[type | None] = PixelAscentSettings
    pixels: ClassVar[bool] = True

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
    ) -> None:
        super().__init__(problem, region, draw, references, settings, chains=chains, random_seed=random_seed)
        if math.prod(image_shape) != references.shape[1]:
            raise ConfigError(
                f"a code has {references.shape[1]} numbers and an image {math.prod(image_shape)}: ascent on pixels "
                "is for codes that are the images themselves."
            )
        self.image_shape = image_shape

    def _move(self, state: RoundState) -> tuple[Evaluation, Tensor]:
        images = state.codes.view(-1, *self.image_shape)
        if not self.settings.jitter:
            evaluation, gradient = self._climb(images)
            return evaluation, self._regularise(images, gradient, state).flatten(1)
        shifts = self._shifts(state)
        evaluation = self.problem.evaluate(state.codes)
        _, gradient = self._climb(terms.shifted(images, shifts), keep_images=False)
        gradient = terms.shifted(gradient, [(-down, -right) for down, right in shifts])
        return evaluation, self._regularise(images, gradient, state).flatten(1)

    def _climb(self, images: Tensor, keep_images: bool = True) -> tuple[Evaluation, Tensor]:
        """What images give, and the gradient of the sum of their activations."""
        evaluation, pull_back = self.problem.linearise(images.flatten(1), keep_images=keep_images)
        gradient = pull_back(torch.zeros_like(evaluation.encodings), torch.ones_like(evaluation.activations))
        return evaluation, gradient.view(images.shape)

    def _regularise(self, images: Tensor, gradient: Tensor, state: RoundState) -> Tensor:
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

    def _shifts(self, state: RoundState) -> list[tuple[int, int]]:
        """How far each image is moved (down, right) in a step from this state, jitter at most."""
        jitter, shifts = self.settings.jitter, []
        for chain in range(len(state.codes)):
            randomness = seeded_generator("jitter", self.random_seed, state.step, chain)
            down, right = torch.randint(-jitter, jitter + 1, (2,), generator=randomness).tolist()
            shifts.append((down, right))
        return shifts
