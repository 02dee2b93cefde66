"""`method=search`: every image of a folder whose activations lie in the ranges (the simple way of sec. 3.1).

Nothing is optimised: images are looked at in turn, once each, at one forward pass an image. What it finds is bounded by
the folder, which is why the paper optimises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from invset.baselines.rounds import describe_step
from invset.core import scales
from invset.core.method import Abilities, Phase, Step
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.scales import Distances
from invset.errors import ConfigError

Look = Callable[[int], Tensor | None]
"""image's number, from 0 -> its code (c,), or None for a file that cannot be read"""


class SearchState(NamedTuple):
    """The images at hand, by code (k, c) and number (k,), the number of the next, distances, and steps taken."""

    phase: Phase
    codes: Tensor
    numbers: Tensor
    following: int
    distances: Distances
    step: int


class Search(Abilities):
    """Images in turn, `chains` at a step; it is done when they are through. A step's chains are the images' numbers.

    Args:
        problem: codes to images, encodings, activations; for images as they are.
        region: the activation ranges.
        look: see `Look`.
        count: how many images there are.
        references: codes (m, c), m ≥ 2, on which distances are measured.
        chains: images a step.
    """

    State: ClassVar[type] = SearchState
    pixels: ClassVar[bool] = True
    reads_folder: ClassVar[bool] = True

    def __init__(
        self, problem: Problem, region: Region, look: Look, count: int, references: Tensor, *, chains: int = 10
    ) -> None:
        self.problem = problem
        self.region = region
        self.look = look
        self.count = count
        self.references = references
        self.chains = chains

    def begin(self) -> SearchState:
        """The state before the first step: the first images.

        Raises:
            ConfigError: none of the images can be read.
        """
        numbers, codes, following = self._read(0)
        if codes is None:
            raise ConfigError(f"search: none of the {self.count} images can be read; give a folder of images that can.")
        return SearchState("sampling", codes, numbers, following, scales.measure(self.problem, self.references), 0)

    def step(self, state: SearchState) -> tuple[SearchState, Step]:
        """Read the activations of the images at hand, and take up the next; NaN is in no range."""
        evaluation = self.problem.evaluate(state.codes)
        step = describe_step(self.region, state.step, state.codes, evaluation)._replace(chains=state.numbers)
        state = state._replace(step=state.step + 1)
        numbers, codes, following = self._read(state.following)
        if codes is None:
            return state._replace(phase="done"), step
        return state._replace(codes=codes, numbers=numbers, following=following), step

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
