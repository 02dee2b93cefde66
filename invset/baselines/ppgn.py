"""`method=ppgn`: Plug & Play Generative Networks (Nguyen et al. 2017, eq. 11), as Table 1 compares with them.

    d = ε₁ (E(G(h)) − h) + ε₂ ∂ log p(unit | G(h)) / ∂h + N(0, ε₃)
    h ← clip(h + step / mean|d| · d, 0, 30)

The first term pulls to codes that E gives back, the second to a high softmax of the unit among its layer, at its
position if that is a map. Rule, settings and starts as in Evolving-AI-Lab/ppgn:sampler.py, sampling_class.py and
1_class_conditional_sampling.sh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from invset.baselines.chains import HIGHEST, Chains, Plan, Take, along, between, code_scale
from invset.baselines.randomness import normal
from invset.core.problem import Evaluation, Problem
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.core.seeding import Draw
from invset.core.state import State
from invset.errors import ConfigError


class Softmax(NamedTuple):
    """Where a unit's layer is among the problem's activations: `size` columns from `first` on, the unit `unit`-th."""

    first: int
    size: int
    unit: int


@dataclass(frozen=True)
class PpgnSettings:
    """Shipped settings; the paper's comparison runs 10 chains of 200 steps once, and counts all 2,000 images.

    Attributes:
        epsilon1: weight of the pull to what E gives back.
        epsilon2: weight of the log-softmax.
        epsilon3: deviation of the noise.
        step: mean change of a code's entry, at the first step.
        end_step: the same at a round's end; None: as `step`.
        highest: what entries are clipped to; the lowest is 0.
        scale: the unit of entries; see `chains.code_scale`. All of the above is in it: h = scale · h′.
        starts: `normal`, N(0, 1) as shipped, or `given`, the run's own.
        steps: a round.
        rounds: how often chains start anew, the first time included; None: until there are samples enough.
        take: every step's codes, or the last alone.
    """

    epsilon1: float = 1e-5
    epsilon2: float = 1.0
    epsilon3: float = 1e-17
    step: float = 1.0
    end_step: float | None = None
    highest: float = HIGHEST
    scale: float | None = None
    starts: Literal["normal", "given"] = "normal"
    steps: int = 200
    rounds: int | None = 1
    take: Take = "every_step"


class Ppgn(Chains):
    """PPGN's chains; each by itself, whatever the others are.

    Args:
        problem: as elsewhere, but its activations (k, p + q) hold the p units first and then, from the same forward
            pass, the whole layers that softmaxes are taken over; `objective` `encodings` or `none`, with the E whose
            outputs the codes are.
        region: the p activation ranges.
        draw: (chain, attempt) -> a start code (c,), for `starts=given`.
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        settings: see `PpgnSettings`.
        softmaxes: one for each of the p units; their log-softmaxes are added up.
        chains: K.
        random_seed: of starts and noise.
        batch_size: codes that go through the networks at once.

    Raises:
        ConfigError: settings make no sense, or do not fit the problem.
    """

    def __init__(
        self,
        problem: Problem,
        region: Region,
        draw: Draw,
        references: Tensor,
        settings: PpgnSettings,
        softmaxes: Sequence[Softmax],
        *,
        chains: int = 10,
        random_seed: int = 0,
        batch_size: int | None = None,
    ) -> None:
        plan = Plan(chains, settings.steps, settings.rounds, settings.take, random_seed, batch_size)
        super().__init__(problem, region, draw, references, plan)
        if len(softmaxes) != len(region.lower):
            raise ConfigError(f"ppgn: {len(softmaxes)} layers to take softmaxes over, for {len(region.lower)} units.")
        if settings.epsilon1 and problem.objective not in ("encodings", "none"):
            raise ConfigError(
                f"method=ppgn with objective.between={problem.objective}: it needs E(G(h)); use encodings or none."
            )
        self.settings = settings
        self.softmaxes = tuple(softmaxes)
        self.scale = code_scale(problem, settings.scale)

    def _start(self, chain: int, attempt: int) -> Tensor:
        if self.settings.starts == "given":
            return self.draw(chain, attempt)
        code = self.references[0]
        randomness = seeded_generator("ppgn start", self.plan.random_seed, chain, attempt)
        return self.scale * torch.randn(len(code), generator=randomness, dtype=code.dtype).to(code.device)

    def _move(self, state: State) -> tuple[Evaluation, Tensor]:
        settings, scale = self.settings, self.scale
        evaluation, pull_back = self.problem.linearise(state.codes, batch_size=self.plan.batch_size)
        condition = pull_back(torch.zeros_like(evaluation.encodings), self._log_softmax_gradient(evaluation))
        h = state.codes / scale
        d = settings.epsilon2 * scale * condition
        if settings.epsilon1:
            d = d + settings.epsilon1 * (self._encodings(evaluation, h) / scale - h)
        if settings.epsilon3 > 0:
            d = d + settings.epsilon3 * self.noise(state)
        step = between(settings.step, settings.end_step, self._share(state))
        h = (h + along(d, step)).clamp(0, settings.highest)
        units = evaluation.activations[:, : len(self.region.lower)]
        return evaluation._replace(activations=units), h * scale

    def noise(self, state: State) -> Tensor:
        """N(0, 1) for a step from this state: (k, c)."""
        return normal(state.codes, "ppgn noise", self.plan.random_seed, state.step)

    def _log_softmax_gradient(self, evaluation: Evaluation) -> Tensor:
        """∂/∂f of each unit's log-softmax, taken as 1 − p at the unit alone and 0 at the others: (k, p + q)."""
        gradient = torch.zeros_like(evaluation.activations)
        for column, (first, size, unit) in enumerate(self.softmaxes):
            probabilities = evaluation.activations[:, first : first + size].softmax(dim=1)
            gradient[:, column] = 1 - probabilities[:, unit]
        return gradient

    def _encodings(self, evaluation: Evaluation, codes: Tensor) -> Tensor:
        if evaluation.encodings.shape != codes.shape:
            raise ConfigError(
                f"method=ppgn: E gives {evaluation.encodings.shape[1]} numbers and a code has {codes.shape[1]}, but "
                "its first term is E(G(h)) - h; use the encoder that the generator inverts (encoder=own) or epsilon1=0."
            )
        return evaluation.encodings
