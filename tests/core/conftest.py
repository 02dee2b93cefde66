"""Exact problems: generators, encoders and neurons whose every number can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core.full import Full
from invset.core.multistart import Multistart
from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.core.state import Method, State, StepInfo
from invset.core.steps import Steps
from invset.models.linear import LinearModel, linear_network
from invset.models.pixels import pixel_generator


@dataclass
class Linear:
    """Linear generator, encoder and neurons in float64: x = A c + a, E(x) = B x, f(x) = V x + v, images 3x1x2.

    `code_scale`, `encoding_scale` and `activation_scale` only change the units in which the same problem is put.
    """

    ranges: tuple[tuple[float, float], ...] = ((20.0, 24.0),)
    lower_only: bool = False
    code_scale: float = 1.0
    encoding_scale: float = 1.0
    activation_scale: float = 1.0
    random_seed: int = 0

    def __post_init__(self) -> None:
        randomness = torch.Generator().manual_seed(self.random_seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=randomness, dtype=torch.float64)

        self.A, self.a = normal(6, 5), normal(6)
        self.B = normal(4, 6)
        self.V, self.v = normal(len(self.ranges), 6), normal(len(self.ranges))
        self.starts = normal(40, 5)
        self.unrelated = normal(6, 5)
        self.batches: list[int] = []

    @property
    def references(self) -> Tensor:
        return self.unrelated * self.code_scale

    def draw(self, chain: int, attempt: int) -> Tensor:
        return self.starts[(chain + 11 * attempt) % len(self.starts)] * self.code_scale

    def generate(self, codes: Tensor) -> Tensor:
        self.batches.append(len(codes))
        return ((codes / self.code_scale) @ self.A.T + self.a).view(-1, 3, 1, 2)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.flatten(1)
        return (x @ self.B.T) * self.encoding_scale, (x @ self.V.T + self.v) * self.activation_scale

    def problem(self, **options: Any) -> Problem:
        return Problem(self.generate, self.read, **{"eight_bit": False, **options})

    @property
    def region(self) -> Region:
        kind = Region.lower_only if self.lower_only else Region.two_sided
        region = kind(self.ranges)
        return Region(*(getattr(region, n).double() * self.activation_scale for n in region.__dataclass_fields__))

    def paper(self, problem: Problem | None = None, **schedule: Any) -> Paper:
        return Paper(problem or self.problem(), self.region, Schedule(**schedule), self.draw, self.references)

    def multistart(self, problem: Problem | None = None, even: bool = False, **schedule: Any) -> Multistart:
        schedule = {"chains": 3, **schedule}
        problem = problem or self.problem()
        return Multistart(problem, self.region, Schedule(**schedule), self.draw, self.references, even)

    def full(self, problem: Problem | None = None, **schedule: Any) -> Full:
        return Full(problem or self.problem(), self.region, Schedule(**schedule), self.draw, self.references)


@pytest.fixture
def linear() -> type[Linear]:
    return Linear


@dataclass
class Ellipsoid:
    """Codes are images and encodings; f(c) = h - c'Qc: the sum over pairs has a maximum on {f >= l}."""

    q: tuple[float, ...]
    h: float
    region: Region
    start: Tensor
    reference_distance: float = 1.0

    def problem(self) -> Problem:
        q = torch.tensor(self.q, dtype=torch.float64)

        def read(images: Tensor) -> tuple[Tensor, Tensor]:
            codes = images.flatten(1)
            return codes, self.h - (codes.square() @ q)[:, None]

        return Problem(lambda codes: codes[:, :, None, None], read, eight_bit=False)

    def paper(self, **schedule: Any) -> Paper:
        references = torch.zeros(2, len(self.q), dtype=torch.float64)
        references[1, 0] = self.reference_distance
        return Paper(self.problem(), self.region, Schedule(**schedule), lambda k, _: self.start[k], references)


@pytest.fixture
def ellipsoid() -> type[Ellipsoid]:
    return Ellipsoid


@dataclass
class Cube:
    """Sec. 3.1: pixels as codes, and a linear model with logistic activation: a half space cut by the unit cube."""

    size: int = 2
    range: tuple[float, float] = (0.7, 0.9)
    layer: str = "output"
    random_seed: int = 0
    lower_only: bool = False

    def __post_init__(self) -> None:
        shape = (3, self.size, self.size)
        self.network = linear_network(self.random_seed, shape)
        assert isinstance(self.network.module, LinearModel)
        self.model = self.network.module
        self.generator = pixel_generator(shape)
        self.region = (Region.lower_only if self.lower_only else Region.two_sided)([self.range])

    def draw(self, chain: int, attempt: int) -> Tensor:
        randomness = torch.Generator().manual_seed(1000 * self.random_seed + 100 * attempt + chain)
        return torch.rand(self.generator.code_size, generator=randomness)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1), self.network.read([self.layer], images)[self.layer]

    def paper(self, **schedule: Any) -> Paper:
        problem = Problem(self.generator.module, self.read, code_bounds=self.generator.code_bounds)
        references = torch.rand(64, self.generator.code_size, generator=torch.Generator().manual_seed(99))
        return Paper(problem, self.region, Schedule(**schedule), self.draw, references)


@pytest.fixture
def cube() -> type[Cube]:
    return Cube


def _exact(state: State) -> State:
    first = Steps(*(torch.full_like(field, value, dtype=torch.float64) for field, value in _FIRST(state)))
    return state._replace(
        steps=first,
        multipliers=state.multipliers._replace(values=state.multipliers.values.double()),
        outer_violation=state.outer_violation.double(),
    )


def _FIRST(state: State) -> list[tuple[Tensor, float]]:
    return list(zip(state.steps, (0.05, 1.0, torch.inf), strict=True))


@pytest.fixture
def exact() -> Callable[[State], State]:
    """A first state with its lengths and multipliers in float64, which are float32 by default."""
    return _exact


def _walk(method: Method, steps: int, state: State | None = None) -> tuple[State, list[StepInfo]]:
    state = method.begin() if state is None else state
    infos = []
    for _ in range(steps):
        if state.phase not in ("seeding", "sampling"):
            break
        state, info = method.step(state)
        infos.append(info)
    return state, infos


@pytest.fixture
def walk() -> Callable[..., tuple[State, list[StepInfo]]]:
    """(method, steps, state=None) -> the last state and what each step gave; ends early where the run does."""
    return _walk


def _samples(infos: list[StepInfo]) -> tuple[Tensor, Tensor, Tensor]:
    def rows(get: Callable[[StepInfo], Tensor]) -> Tensor:
        return torch.cat([get(info)[info.samples] for info in infos])

    return rows(lambda i: i.evaluation.images), rows(lambda i: i.codes), rows(lambda i: i.evaluation.activations)


@pytest.fixture
def samples() -> Callable[[list[StepInfo]], tuple[Tensor, Tensor, Tensor]]:
    """Images, codes and activations of all samples of these steps."""
    return _samples
