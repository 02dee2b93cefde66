"""`method=ppgn`: Plug & Play Generative Networks (Nguyen et al. 2017, eq. 11), as Table 1 compares with them.

    d = ε₁ (E(G(h)) − h) + ε₂ ∂ log p(unit | G(h)) / ∂h + ε₃ N(0, 1)
    h ← clip(h + step / mean|d| · d, 0, 30)

The first term pulls to codes that E gives back, the second to a high softmax of the unit among its layer, at its
position if that is a map; where the layer's outputs are multiples of logits, the softmax is of the logits. Rule,
settings and starts as in Evolving-AI-Lab/ppgn:sampler.py, sampling_class.py and 1_class_conditional_sampling.sh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.baselines.rounds import (
    HIGHEST,
    STARTS,
    Rounds,
    RoundSettings,
    RoundState,
    along,
    between,
    code_scale,
    normal_start,
)
from invset.core.chains import Draw
from invset.core.problem import Evaluation, Problem
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.errors import ConfigError
from invset.settings import at_least, setting


class Softmax(NamedTuple):
    """Where a unit's layer is among the problem's activations: `size` columns from `first` on, the unit `unit`-th.

    The softmax is of these columns / `scale`.
    """

    first: int
    size: int
    unit: int
    scale: float


@dataclass(frozen=True)
class PpgnSettings(RoundSettings):
    """Shipped settings; the paper's comparison runs 10 chains of 200 steps once, and counts all 2,000 images."""

    epsilon1: float = setting(1e-5, "weight of the pull to codes that the encoder gives back")
    epsilon2: float = setting(1.0, "weight of the gradient of the unit's log-softmax")
    epsilon3: float = setting(1e-17, "deviation of the noise")
    step: float = setting(1.0, "mean change of a code's entry, at the first step")
    end_step: float | None = setting(None, "the same at a round's end; null: as step")
    highest: float = setting(HIGHEST, "entries are clipped to [0, highest]")
    scale: float | None = setting(
        None, "unit of a code's entries, in which all of the above is; null: the highest code bound / 30, or 1"
    )
    starts: str = setting("normal", "normal: N(0, 1) in that unit, as shipped; given: those of starts=", STARTS)
    rounds: int | None = setting(1, "how often chains start anew; null: until there are n samples", at_least(1))


class Ppgn(Rounds):
    """PPGN's chains; each by itself, whatever the others are.

    Args:
        problem: as elsewhere, but its activations (k, p + q) hold the p units first and then, from the same forward
            pass, the whole layers that softmaxes are taken over; with the E whose outputs the codes are.
        softmaxes: one for each of the p units; their log-softmaxes are added up. All else as for `Rounds`.
    """

    Settings: ClassVar[type | None] = PpgnSettings

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
    ) -> None:
        super().__init__(problem, region, draw, references, settings, chains=chains, random_seed=random_seed)
        self.softmaxes = tuple(softmaxes)
        self.scale = code_scale(problem, settings.scale)

    def _start(self, chain: int, attempt: int) -> Tensor:
        if self.settings.starts == "given":
            return self.draw(chain, attempt)
        randomness = seeded_generator("ppgn start", self.random_seed, chain, attempt)
        return normal_start(self.scale, self.references[0], randomness)

    def _move(self, state: RoundState) -> tuple[Evaluation, Tensor]:
        settings, scale = self.settings, self.scale
        evaluation, pull_back = self.problem.linearise(state.codes)
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

    def noise(self, state: RoundState) -> Tensor:
        """N(0, 1) for a step from this state, a row a chain: (k, c); the same on every device."""
        like = state.codes
        names = (("ppgn noise", self.random_seed, state.step, row) for row in range(len(like)))
        rows = [torch.randn(like.shape[1], generator=seeded_generator(*name), dtype=like.dtype) for name in names]
        return torch.stack(rows).to(like.device)

    def _log_softmax_gradient(self, evaluation: Evaluation) -> Tensor:
        """∂/∂f of the log-softmax of f / s at each unit, taken as (1 − p) / s at the unit alone: (k, p + q)."""
        gradient = torch.zeros_like(evaluation.activations)
        for column, (first, size, unit, scale) in enumerate(self.softmaxes):
            probabilities = (evaluation.activations[:, first : first + size] / scale).softmax(dim=1)
            gradient[:, column] = (1 - probabilities[:, unit]) / scale
        return gradient

    def _encodings(self, evaluation: Evaluation, codes: Tensor) -> Tensor:
        if evaluation.encodings.shape != codes.shape:
            raise ConfigError(
                f"ppgn: E gives {evaluation.encodings.shape[1]} numbers and a code has {codes.shape[1]}, but its first "
                "term is E(G(h)) - h; use the encoder that the generator inverts, or an ε₁ of 0."
            )
        return evaluation.encodings
