"""`method=search`: every image of a folder whose activations lie in the ranges (the simple way of sec. 3.1).

Nothing is optimised: images are looked at in turn, once each, at one forward pass an image. What it finds is bounded by
the folder, which is why the paper optimises.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from invset.baselines.chains import first_state, noted, report
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.state import State, StepInfo
from invset.errors import ConfigError

Look = Callable[[int], Tensor | None]
"""image's number, from 0 -> its code (c,), or None for a file that cannot be read"""


class Search:
    """Images in turn, `chains` at a step; it is done when they are through.

    In each step's report the chains are the images' numbers, from 0; the state keeps those it holds in `attempts`, and
    in `inner` the number of the next.

    Args:
        problem: codes to images, encodings, activations; for images as they are, generator=pixels.
        region: the activation ranges.
        look: see `Look`.
        count: how many images there are.
        references: codes (m, c), m ≥ 2, on which distances are measured.
        chains: images a step.

    Raises:
        ConfigError: there are none.
    """

    def __init__(
        self, problem: Problem, region: Region, look: Look, count: int, references: Tensor, *, chains: int = 10
    ) -> None:
        if count < 1 or chains < 1:
            raise ConfigError(f"search: {count} images, {chains} at a step; both have to be 1 or more.")
        self.problem = problem
        self.region = region
        self.look = look
        self.count = count
        self.references = references
        self.chains = chains

    def begin(self) -> State:
        """The state before the first step: the first images.

        Raises:
            ConfigError: none of the images can be read.
        """
        numbers, codes, following = self._read(0)
        if codes is None:
            raise ConfigError(f"search: none of the {self.count} images can be read; give a folder of images that can.")
        state = first_state(self.problem, self.region, codes, self.references, self.chains)
        return state._replace(attempts=numbers, inner=following)

    def step(self, state: State) -> tuple[State, StepInfo]:
        """Read the activations of the images at hand, and take up the next.

        Raises:
            NonFiniteError: an activation or an encoding is NaN or infinite.
        """
        evaluation = self.problem.evaluate(state.codes)
        info = report(state, evaluation, self.region)._replace(chains=state.attempts)
        state = noted(state, info, self.region)
        numbers, codes, following = self._read(state.inner)
        if codes is None:
            return state._replace(phase="done"), info
        return self._holding(state, numbers, codes)._replace(inner=following), info

    def _holding(self, state: State, numbers: Tensor, codes: Tensor) -> State:
        """The state with these images; a last handful has fewer rows than the others had."""
        size = len(codes)
        values = state.multipliers.values[:size]
        return state._replace(codes=codes, attempts=numbers, multipliers=state.multipliers._replace(values=values))

    def _read(self, first: int) -> tuple[Tensor, Tensor | None, int]:
        """The next readable images from number `first` on: numbers, codes, and the number after them."""
        numbers: list[int] = []
        codes: list[Tensor] = []
        while first < self.count and len(codes) < self.chains:
            code = self.look(first)
            if code is not None:
                numbers.append(first)
                codes.append(code)
            first += 1
        return torch.tensor(numbers, dtype=torch.int64), torch.stack(codes) if codes else None, first
