"""`method=dgn_am`: activation maximisation in the code of a generator (Nguyen et al. 2016, NIPS).

    c ← decay · clip(c + step / mean|∂f/∂c| · ∂f/∂c, 0, mean + 3 deviations)

Rule and settings as in Evolving-AI-Lab/synthesizing:act_max.py, 1_activate_output.sh and act_range/README.md. There the
gradient is also normalised once at the image, which changes its length and nothing else; and the picture saved is the
generator's plus one image step of the last, vanishing length: here it is the generator's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from invset.baselines.rounds import (
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
from invset.settings import Takes, is_number, setting


@dataclass(frozen=True)
class DgnAmSettings(RoundSettings):
    """Shipped settings, made for CaffeNet's fc6; the original keeps only the last image of a round."""

    step: float = setting(8.0, "mean change of a code's entry, at the first step")
    end_step: float | None = setting(1e-10, "the same at a round's end; null: as step")
    decay: float = setting(
        0.99,
        "what the code is multiplied by after every step (their L2 weight)",
        Takes(lambda value: is_number(value) and 0 < value <= 1, "a number above 0, up to 1"),
    )
    deviations: float | None = setting(3.0, "an entry's upper bound, in deviations above its mean; null: no bounds")
    lowest: float | None = setting(0.0, "every entry's lower bound; null: as far below the mean")
    scale: float | None = setting(None, "unit of a code's entries; null: the highest code bound / 30, or 1")
    starts: str = setting("normal", "normal: N(0, 1) in that unit, as shipped; given: those of starts=", STARTS)


class DgnAm(Rounds):
    """Ascent on the sum of the activations, each chain by itself.

    Args:
        statistics: mean and deviation (c,) of natural codes; None: those of the references. All else as for `Rounds`.
    """

    Settings: ClassVar[type | None] = DgnAmSettings

    def __init__(
        self,
        problem: Problem,
        region: Region,
        draw: Draw,
        references: Tensor,
        settings: DgnAmSettings,
        statistics: tuple[Tensor, Tensor] | None = None,
        *,
        chains: int = 10,
        random_seed: int = 0,
    ) -> None:
        super().__init__(problem, region, draw, references, settings, chains=chains, random_seed=random_seed)
        self.scale = code_scale(problem, settings.scale)
        mean, deviation = statistics or (references.mean(dim=0), references.std(dim=0))
        self.mean, self.deviation = mean.to(references), deviation.to(references)

    def _start(self, chain: int, attempt: int) -> Tensor:
        if self.settings.starts == "given":
            return self.draw(chain, attempt)
        randomness = seeded_generator("dgn_am start", self.random_seed, chain, attempt)
        return normal_start(self.scale, self.references[0], randomness)

    def _move(self, state: RoundState) -> tuple[Evaluation, Tensor]:
        evaluation, pull_back = self.problem.linearise(state.codes)
        upwards = torch.ones_like(evaluation.activations)
        gradient = pull_back(torch.zeros_like(evaluation.encodings), upwards)
        step = self.scale * between(self.settings.step, self.settings.end_step, self._share(state))
        codes = self.settings.decay * self._clip(state.codes + along(gradient, step))
        # Without a gradient the original ends there; here the chain waits for its round to end.
        return evaluation, torch.where((gradient == 0).all(dim=1, keepdim=True), state.codes, codes)

    def _clip(self, codes: Tensor) -> Tensor:
        if self.settings.deviations is None:
            return codes
        spread = self.settings.deviations * self.deviation
        lowest = self.mean - spread if self.settings.lowest is None else torch.full_like(spread, self.settings.lowest)
        return codes.maximum(lowest).minimum(self.mean + spread)
