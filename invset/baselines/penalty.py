"""`method=penalty`: the range as a penalty of fixed weight, as studies of level sets put it, in place of multipliers.

    L = weight · Σ_j |(f_j − t_j) / r_j|^power − diversity · w Σ_ij ‖e_i − e_j‖²

with t_j in the range's middle unless given, r_j half its width, and the objective of eq. 6 in the same unit w that the
paper's method takes here (`scales.automatic`). Nothing makes f reach its range: how near it comes is up to the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from invset.baselines.rounds import Rounds, RoundSettings, RoundState, between
from invset.core import lagrangian, scales
from invset.core.diversity import moments
from invset.core.lagrangian import Scales
from invset.core.problem import Evaluation
from invset.core.steps import descend
from invset.errors import ConfigError
from invset.settings import Takes, above, is_number, setting

POWER = Takes(lambda value: value in (1, 2), "1 or 2")
DIVERSITY = Takes(lambda value: is_number(value) and value >= 0, "0 or more")
TARGETS = Takes(
    lambda value: isinstance(value, list | tuple) and all(map(is_number, value)), "a list of numbers, as [45], or null"
)


@dataclass(frozen=True)
class PenaltySettings(RoundSettings):
    """The settings are ours: the studies have one of their own each."""

    weight: float = setting(1.0, "of the penalty", above(0, "a number above 0"))
    power: int = setting(2, "2, or 1 for |f - t|", POWER)
    diversity: float = setting(1.0, "weight of the objective beside it; 0: each chain by itself", DIVERSITY)
    target: Any = setting(None, "t, a list with one for each unit; null: the middles of the ranges", TARGETS)
    step: float = setting(0.05, "of a code, as a share of the distance between unrelated ones, at the first step")
    end_step: float | None = setting(0.005, "the same at a round's end; null: as step")


class Penalty(Rounds):
    """Descent on a penalty of fixed weight, in steps of given length along the gradient.

    Raises:
        ConfigError: settings do not fit the ranges.
    """

    Settings: ClassVar[type | None] = PenaltySettings

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.target = self._target()

    def _target(self) -> Tensor:
        region = self.region
        if self.settings.target is None:
            target = region.lower + region.half_width  # with eqs. 8-11's one bound too: it keeps z2's half width
        else:
            target = torch.tensor(self.settings.target).to(region.lower)
        if target.shape != region.lower.shape:
            raise ConfigError(f"penalty: {len(target)} targets for {len(region.lower)} units; give one for each.")
        return target

    def _move(self, state: RoundState) -> tuple[Evaluation, Tensor]:
        settings, problem, region = self.settings, self.problem, self.region
        evaluation, pull_back = problem.linearise(state.codes)
        usual = scales.automatic(state.distances, region, self.chains)
        weighed = Scales(settings.diversity * usual.objective, usual.constraint)
        everyone = moments(evaluation.encodings)
        outwards = lagrangian.encoding_gradient(evaluation.encodings, everyone, None, weighed)
        gradient = problem.free(state.codes, pull_back(outwards, self._penalty_gradient(evaluation.activations)))
        share = between(settings.step, settings.end_step, self._share(state))
        length = torch.full((len(gradient),), share * state.distances.codes).to(gradient)
        return evaluation, descend(state.codes, gradient, length)

    def _penalty_gradient(self, activations: Tensor) -> Tensor:
        """∂/∂f of weight · Σ |(f − t) / r|^power: (k, p)."""
        half_width, power = self.region.half_width, self.settings.power
        miss = (activations - self.target) / half_width
        return self.settings.weight * power * (miss if power == 2 else miss.sign()) / half_width
