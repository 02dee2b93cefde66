"""`method=dgn_am`: activation maximisation in the code of a generator (Nguyen et al. 2016, NIPS).

    c ← decay · clip(c + step / mean|∂f/∂c| · ∂f/∂c, 0, mean + 3 deviations)

Rule and settings as in Evolving-AI-Lab/synthesizing:act_max.py, 1_activate_output.sh and act_range/README.md. There the
gradient is also normalised once at the image, which changes its length and nothing else; and the picture saved is the
generator's plus one image step of the last, vanishing length: here it is the generator's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from invset.baselines.chains import Chains, Plan, Take, along, between, code_scale
from invset.core.problem import Evaluation, Problem
from invset.core.randomness import seeded_generator
from invset.core.region import Region
from invset.core.seeding import Draw
from invset.core.state import State
from invset.errors import ConfigError


@dataclass(frozen=True)
class DgnAmSettings:
    """Shipped settings, made for CaffeNet's fc6; the original keeps only the last image of a round.

    Attributes:
        step: mean change of a code's entry, at the first step.
        end_step: the same at a round's end.
        decay: what the code is multiplied by after every step (their L2 weight), above 0 up to 1; 1: none.
        deviations: each entry's upper bound lies so many deviations above its mean; None: no bounds.
        lowest: every entry's lower bound, 0 for codes that are a ReLU's outputs; None: as far below the mean.
        scale: the unit of entries; see `chains.code_scale`. Steps and normal starts are in it.
        starts: `normal`, N(0, 1) as shipped, or `given`, the run's own.
        steps: a round.
        rounds: how often chains start anew, the first time included; None: until there are samples enough.
        take: every step's codes, or the last alone.
    """

    step: float = 8.0
    end_step: float | None = 1e-10
    decay: float = 0.99
    deviations: float | None = 3.0
    lowest: float | None = 0.0
    scale: float | None = None
    starts: Literal["normal", "given"] = "normal"
    steps: int = 200
    rounds: int | None = None
    take: Take = "every_step"


class DgnAm(Chains):
    """Ascent on the sum of the activations, each chain by itself.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        draw: (chain, attempt) -> a start code (c,), for `starts=given`.
        references: unrelated codes (m, c), m ≥ 2, on which distances are measured.
        settings: see `DgnAmSettings`.
        statistics: mean and deviation (c,) of real codes; None: those of the references.
        chains: K.
        random_seed: of normal starts.
        batch_size: codes that go through the networks at once.

    Raises:
        ConfigError: settings make no sense.
    """

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
        batch_size: int | None = None,
    ) -> None:
        plan = Plan(chains, settings.steps, settings.rounds, settings.take, random_seed, batch_size)
        super().__init__(problem, region, draw, references, plan)
        if not 0 < settings.decay <= 1:
            raise ConfigError(f"decay={settings.decay}: a code is multiplied by it; write a number above 0, up to 1.")
        self.settings = settings
        self.scale = code_scale(problem, settings.scale)
        mean, deviation = statistics or (references.mean(dim=0), references.std(dim=0))
        self.mean, self.deviation = mean.to(references), deviation.to(references)

    def _start(self, chain: int, attempt: int) -> Tensor:
        if self.settings.starts == "given":
            return self.draw(chain, attempt)
        code = self.references[0]
        randomness = seeded_generator("dgn_am start", self.plan.random_seed, chain, attempt)
        return self.scale * torch.randn(len(code), generator=randomness, dtype=code.dtype).to(code.device)

    def _move(self, state: State) -> tuple[Evaluation, Tensor]:
        evaluation, pull_back = self.problem.linearise(state.codes, batch_size=self.plan.batch_size)
        upwards = torch.ones_like(evaluation.activations)
        gradient = pull_back(torch.zeros_like(evaluation.encodings), upwards)
        step = self.scale * between(self.settings.step, self.settings.end_step, self._share(state))
        codes = self.settings.decay * self._clipped(state.codes + along(gradient, step))
        # Without a gradient the original ends there; here the chain waits for its round to end.
        return evaluation, torch.where((gradient == 0).all(dim=1, keepdim=True), state.codes, codes)

    def _clipped(self, codes: Tensor) -> Tensor:
        if self.settings.deviations is None:
            return codes
        spread = self.settings.deviations * self.deviation
        lowest = self.mean - spread if self.settings.lowest is None else torch.full_like(spread, self.settings.lowest)
        return codes.maximum(lowest).minimum(self.mean + spread)
