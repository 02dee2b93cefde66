"""Sec. 3.1: with a linear model and logistic activation the inverse set is known: a slab cut by the unit cube."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from invset.core.problem import Problem
from invset.core.region import Region
from invset.models.linear import LinearModel, linear_network
from invset.models.pixels import pixel_generator
from tests.toys import Toy, problem_of, samples, walk

STEPS = 200
RANGES = [(0.7, 0.9), (0.5, 0.99), (0.2, 0.4), (0.9, 0.95)]


def half_space(model: LinearModel, z: float) -> tuple[Tensor, float]:
    """(w, b) such that σ(w·x + c) ≥ z is {x in [0, 1]^d : w·x ≥ b}: b = σ⁻¹(z) − c; w is (d,), float64."""
    return model.logit.weight.detach()[0].double(), math.log(z / (1 - z)) - float(model.logit.bias)


def logit_range(model: LinearModel) -> tuple[float, float]:
    """The lowest and highest logit of any image in the unit cube, both reached at corners."""
    w, c = model.logit.weight.detach()[0].double(), float(model.logit.bias)
    return float(w.clamp(max=0).sum()) + c, float(w.clamp(min=0).sum()) + c


@dataclass
class Cube(Toy):
    """Pixels as codes, 8 bits each, and a linear model with logistic activation."""

    range: tuple[float, float] = (0.7, 0.9)
    size: int = 2
    layer: str = "output"
    lower_only: bool = False

    def __post_init__(self) -> None:
        shape = (3, self.size, self.size)
        self.network = linear_network(0, shape)
        assert isinstance(self.network.module, LinearModel)
        self.model = self.network.module
        self.generator = pixel_generator(shape)
        self.region = (Region.lower_only if self.lower_only else Region.two_sided)([self.range])
        self.references = torch.rand(64, 3 * self.size**2, generator=torch.Generator().manual_seed(99))

    def draw(self, chain: int, attempt: int) -> Tensor:
        randomness = torch.Generator().manual_seed(100 * attempt + chain)
        return torch.rand(self.generator.code_size, generator=randomness)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1), self.network.read([self.layer], images)[self.layer]

    def problem(self, size: int | None = None, **options: object) -> Problem:
        return problem_of(self.generator.module, self.read, size, self.generator.code_bounds, eight_bit=True)

    def position(self, images: Tensor) -> Tensor:
        """What the model adds up, in float64: wᵀx (n,)."""
        return images.flatten(1).double() @ half_space(self.model, 0.5)[0]

    def edge(self, z: float) -> float:
        """Where that is at an activation of z."""
        return float(half_space(self.model, z)[1])

    @property
    def rounding(self) -> float:
        """Of the model, which computes in float32."""
        return 1e-6 * float(half_space(self.model, 0.5)[0].abs().sum())


@pytest.mark.parametrize("method", ["paper", "multistart"])
@pytest.mark.parametrize("activation_range", RANGES)
def test_every_sample_lies_in_both_half_spaces_and_the_cube(activation_range: tuple[float, float], method: str) -> None:
    """σ⁻¹(z1) ≤ wᵀx + c ≤ σ⁻¹(z2), in float64 from the 8-bit image, and 0 ≤ x ≤ 1; the paper's go from edge to edge.

    Activations from z1 to z2, within a tenth of its width, and coordinates from face to face of the cube.
    """
    cube = Cube(activation_range)
    images, codes, activations = samples(walk(getattr(cube, method)(chains=5), STEPS)[1])
    assert len(images) > (500 if method == "paper" else 100)
    position, (z1, z2) = cube.position(images), activation_range
    assert (position >= cube.edge(z1) - cube.rounding).all()
    assert (position <= cube.edge(z2) + cube.rounding).all()
    assert torch.equal((images * 255).round() / 255, images)
    assert ((codes >= 0) & (codes <= 1)).all()
    if method == "multistart":
        return
    tenth = (z2 - z1) / 10
    assert float(activations.min()) <= z1 + tenth
    assert float(activations.max()) >= z2 - tenth
    x = images.flatten(1)
    assert (x.amin(dim=0) <= 0.05).sum() + (x.amax(dim=0) >= 0.95).sum() >= 20  # of 24


def test_lower_only_fills_the_half_space_beyond_z2() -> None:
    """Eqs. 8–11 to the letter: f ≥ z1, and nothing keeps f ≤ z2."""
    cube = Cube((0.7, 0.8), lower_only=True)
    images, _, activations = samples(walk(cube.paper(chains=5), 100)[1])
    assert (cube.position(images) >= cube.edge(0.7) - cube.rounding).all()
    assert float(activations.min()) < 0.8 < float(activations.max())


@pytest.mark.parametrize("beyond", ["above", "below"])
def test_a_slab_that_misses_the_cube_is_unreachable_and_the_corner_is_the_closest(beyond: str) -> None:
    low, high = logit_range(Cube(size=1).model)
    span = (high + 1, high + 2) if beyond == "above" else (low - 2, low - 1)
    state, taken = walk(Cube(span, size=1, layer="logit").paper(chains=4), 2000)
    assert state.phase == "unreachable"
    assert not any(len(step.samples) for step in taken)
    violation = torch.cat([step.violation for step in taken])
    activations = torch.cat([step.evaluation.activations for step in taken])
    assert float(activations[violation.argmin()]) == pytest.approx(high if beyond == "above" else low, abs=1e-4)
    assert float(violation.min()) == pytest.approx(1.0, abs=1e-3)
