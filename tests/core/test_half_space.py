"""Sec. 3.1: with a linear model and logistic activation the inverse set is known: a slab cut by the unit cube."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

STEPS = 300
RANGES = [(0.7, 0.9), (0.5, 0.99), (0.2, 0.4), (0.9, 0.95)]


def logit(z: float) -> float:
    return math.log(z / (1 - z))


@pytest.mark.parametrize("activation_range", RANGES)
@pytest.mark.parametrize("size", [1, 2])
def test_every_sample_lies_in_both_half_spaces_and_the_cube(
    size: int, activation_range: tuple[float, float], cube: type, walk: Callable, samples: Callable
) -> None:
    """σ⁻¹(z1) ≤ wᵀx + c ≤ σ⁻¹(z2), in float64 from the 8-bit image, and 0 ≤ x ≤ 1."""
    model = cube(size=size, range=activation_range)
    images, codes, _ = samples(walk(model.paper(chains=5), STEPS)[1])
    assert len(images) > 900
    w, above = model.model.half_space(activation_range[0])
    _, below = model.model.half_space(activation_range[1])
    x = images.flatten(1).double()
    rounding = 1e-6 * float(w.abs().sum())  # the model computes in float32
    assert ((x @ w) >= above - rounding).all()
    assert ((x @ w) <= below + rounding).all()
    assert ((x >= 0) & (x <= 1)).all()
    assert torch.equal((images * 255).round() / 255, images)
    assert ((codes >= 0) & (codes <= 1)).all()


@pytest.mark.parametrize("activation_range", RANGES)
def test_samples_fill_the_set_from_edge_to_edge(
    activation_range: tuple[float, float], cube: type, walk: Callable, samples: Callable
) -> None:
    """Activations from z1 to z2, within a tenth of its width, and coordinates from face to face of the cube."""
    z1, z2 = activation_range
    model = cube(size=2, range=activation_range)
    images, _, activations = samples(walk(model.paper(chains=5), STEPS)[1])
    tenth = (z2 - z1) / 10
    assert z1 <= float(activations.min()) <= z1 + tenth
    assert z2 - tenth <= float(activations.max()) <= z2
    x = images.flatten(1)
    faces = (x.amin(dim=0) <= 0.05).sum() + (x.amax(dim=0) >= 0.95).sum()
    assert faces >= (23 if activation_range == (0.9, 0.95) else 24)  # the narrowest misses one


def test_lower_only_fills_the_half_space_beyond_z2(cube: type, walk: Callable, samples: Callable) -> None:
    """Eqs. 8–11 to the letter: f ≥ z1, and nothing keeps f ≤ z2."""
    model = cube(size=2, range=(0.7, 0.8), lower_only=True)
    images, _, activations = samples(walk(model.paper(chains=5), 100)[1])
    w, above = model.model.half_space(0.7)
    assert ((images.flatten(1).double() @ w) >= above - 1e-6 * float(w.abs().sum())).all()
    assert float(activations.max()) > 0.8
    assert float(activations.min()) < 0.8


def test_the_logit_and_its_logistic_are_the_same_set(cube: type, walk: Callable, samples: Callable) -> None:
    """[σ⁻¹(z1), σ⁻¹(z2)] of the linear unit: its samples lie in [z1, z2] of the logistic one, and fill that too."""
    z1, z2 = 0.6, 0.9
    linear = cube(size=2, range=(logit(z1), logit(z2)), layer="logit")
    images, _, _ = samples(walk(linear.paper(chains=5), STEPS)[1])
    activations = linear.network.read(["output"], images)["output"]
    assert ((activations >= z1 - 1e-6) & (activations <= z2 + 1e-6)).all()
    assert float(activations.min()) < z1 + 0.03
    assert float(activations.max()) > z2 - 0.03


@pytest.mark.parametrize("beyond", ["above", "below"])
def test_a_slab_that_misses_the_cube_is_unreachable_and_the_corner_is_the_closest(
    beyond: str, cube: type, walk: Callable
) -> None:
    model = cube(size=1)
    low, high = model.model.logit_range()
    span = (high + 1, high + 2) if beyond == "above" else (low - 2, low - 1)
    model = cube(size=1, range=span, layer="logit")
    state, infos = walk(model.paper(chains=4), 2000)
    assert state.phase == "unreachable"
    assert not any(len(info.samples) for info in infos)
    assert float(state.closest) == pytest.approx(high if beyond == "above" else low, abs=1e-4)
    assert state.closest_violation == pytest.approx(2.0, abs=1e-3)  # 1 in half widths of 1/2
