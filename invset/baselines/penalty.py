"""`method=penalty`: the range as a penalty of fixed weight, as studies of level sets put it, in place of multipliers.

    L = weight · Σ_j |(f_j − t_j) / r_j|^power − diversity · w Σ_ij ‖e_i − e_j‖²

with t_j in the range's middle unless given, r_j half its width, and the objective of eq. 6 in the same unit w that the
paper's method takes here (`scales.automatic`). Nothing makes f reach its range: how near it comes is up to the weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.baselines.chains import Chains, Plan, Take, between
from invset.core import lagrangian, steps
from invset.core.diversity import Moments
from invset.core.lagrangian import Scales
from invset.core.problem import Evaluation, Problem
from invset.core.region import Region
from invset.core.seeding import Draw
from invset.core.state import State
from invset.errors import ConfigError


@dataclass(frozen=True)
class PenaltySettings:
    """The settings are ours: the studies have one of their own each.

    Attributes:
        weight: of the penalty.
        power: 2, or 1 for |f − t|.
        diversity: of the objective beside it; 0: the penalty alone, and then each chain by itself.
        target: t, one for each unit; None: the middles of the ranges.
        step: how far a code goes, as a share of the distance between unrelated codes, at the first step.
        end_step: the same at a round's end; None: as `step`.
        steps: a round.
        rounds: how often chains start anew, the first time included; None: until there are samples enough.
        take: every step's codes, or the last alone.
    """

    weight: float = 1.0
    power: int = 2
    diversity: float = 1.0
    target: Sequence[float] | None = None
    step: float = 0.05
    end_step: float | None = 0.005
    steps: int = 200
    rounds: int | None = None
    take: Take = "every_step"


class Penalty(Chains):
    """Descent on a penalty of fixed weight, in steps of given length along the gradient.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        settings: see `PenaltySettings`.
        chains: K.
        random_seed: nothing is drawn here but starts, by `draw`.
        batch_size: codes that go through the networks at once.

    Raises:
        ConfigError: settings make no sense, or do not fit the ranges.
    """

    def __init__(
        self,
        problem: Problem,
        region: Region,
        draw: Draw,
        references: Tensor,
        settings: PenaltySettings,
        *,
        chains: int = 10,
        random_seed: int = 0,
        batch_size: int | None = None,
    ) -> None:
        plan = Plan(chains, settings.steps, settings.rounds, settings.take, random_seed, batch_size)
        super().__init__(problem, region, draw, references, plan)
        if settings.power not in (1, 2) or settings.weight <= 0 or settings.diversity < 0:
            raise ConfigError(
                f"penalty: power={settings.power} has to be 1 or 2, weight={settings.weight} above 0, "
                f"diversity={settings.diversity} 0 or more."
            )
        self.settings = settings
        self.target = self._target()

    def _target(self) -> Tensor:
        region = self.region
        if self.settings.target is None:
            target = region.lower + region.half_width  # with eqs. 8-11's one bound too: it keeps z2's half width
        else:
            target = torch.tensor(list(self.settings.target)).to(region.lower)
        if target.shape != region.lower.shape:
            raise ConfigError(f"penalty: {len(target)} targets for {len(region.lower)} units; give one for each.")
        if not (target.isfinite() & region.half_width.isfinite()).all():
            raise ConfigError("penalty: a range without end has no middle and no width; give ranges with two ends.")
        return target

    def _move(self, state: State) -> tuple[Evaluation, Tensor]:
        settings, problem = self.settings, self.problem
        evaluation, pull_back = problem.linearise(state.codes, batch_size=self.plan.batch_size)
        weighed = Scales(settings.diversity * state.scales.objective, state.scales.constraint)
        group = Moments.of(evaluation.encodings)
        outwards = lagrangian.encoding_gradient(evaluation.encodings, group, None, weighed)
        gradient = problem.free(state.codes, pull_back(outwards, self._penalty_gradient(evaluation.activations)))
        share = between(settings.step, settings.end_step, self._share(state))
        length = torch.full((len(gradient),), share * state.distances.codes).to(gradient)
        return evaluation, steps.moved(state.codes, gradient, length)

    def _penalty_gradient(self, activations: Tensor) -> Tensor:
        """∂/∂f of weight · Σ |(f − t) / r|^power: (k, p)."""
        half_width, power = self.region.half_width, self.settings.power
        miss = (activations - self.target) / half_width
        return self.settings.weight * power * (miss if power == 2 else miss.sign()) / half_width
