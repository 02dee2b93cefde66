"""How far each step goes: the β of sec. 3.4 (step 3), which the paper leaves open."""

from __future__ import annotations

import math

import pytest
import torch

from invset.core import lagrangian, steps
from invset.core.lagrangian import Multipliers, Scales
from invset.core.region import Region
from invset.core.steps import LARGEST_RADIUS, Aim, Steps

AIM = Aim(staying=0.6, smallest=0.06)


def state(radius: float = 0.1, damping: float = 1.0, violation: float = 0.0, k: int = 1) -> Steps:
    return Steps(*(torch.full((k,), x, dtype=torch.float64) for x in (radius, damping, violation)))


def test_a_zero_gradient_moves_nothing() -> None:
    codes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    gradient = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    moved = steps.moved(codes, gradient, torch.tensor([5.0, 0.5]))
    assert torch.equal(moved, torch.tensor([[1.0, 2.0], [3.0, 3.5]]))
    for violation in (0.0, 1.0):
        length = steps.lengths(state(violation=violation), gradient[:1], torch.ones(1, 1), torch.ones(1), 10.0, 1.0)
        assert length.isfinite().all()


def test_a_step_goes_down_the_gradient_by_its_length_whatever_the_gradients_size() -> None:
    codes = torch.zeros(3, 2, dtype=torch.float64)
    gradient = torch.tensor([[3.0, 4.0], [3e8, 4e8], [3e-8, 4e-8]], dtype=torch.float64)
    moved = steps.moved(codes, gradient, torch.full((3,), 5.0, dtype=torch.float64))
    torch.testing.assert_close(moved, torch.tensor([[-3.0, -4.0]] * 3, dtype=torch.float64))


@pytest.mark.parametrize("penalty", [10.0, 1e4])
@pytest.mark.parametrize("f", [-100.0, 9.0, 30.0])
@pytest.mark.parametrize("unit", ["one", "half width"])
def test_newtons_step_lands_on_the_aim_of_a_linear_activation(penalty: float, f: float, unit: str) -> None:
    """Only the constraint acts and λ = 0: f(c − β ∂L/∂c) is the nearest activation that the slack may have."""
    region = Region.two_sided([(10.0, 20.0)])
    scales = Scales(0.0, torch.ones(1) if unit == "one" else region.half_width)
    slope = torch.tensor([[0.3, -2.0, 0.7]], dtype=torch.float64)
    codes = slope * f / slope.square().sum()
    activations = codes @ slope.T
    multipliers = Multipliers(torch.zeros(1, 1, dtype=torch.float64), penalty)
    df = lagrangian.activation_gradient(activations, multipliers, region, scales)
    violation = region.violation(activations).sum(dim=1)
    length = steps.lengths(state(violation=float(violation)), df * slope, df, scales.constraint, penalty, 1e6)
    landed = steps.moved(codes, df * slope, length) @ slope.T
    assert float(landed) == pytest.approx(12.5 if f < 10 else 17.5, rel=1e-12)


def test_outside_the_length_is_damped_and_capped() -> None:
    gradient, df = torch.tensor([[2.0]]), torch.tensor([[4.0]])
    newton = (3.0 * 4.0) ** 2 / (10.0 * 2.0)
    plain = steps.lengths(state(violation=1.0), gradient, df, torch.tensor([3.0]), 10.0, 1e6)
    damped = steps.lengths(state(violation=1.0, damping=0.25), gradient, df, torch.tensor([3.0]), 10.0, 1e6)
    capped = steps.lengths(state(violation=1.0), gradient, df, torch.tensor([3.0]), 10.0, 1.0)
    assert float(plain) == pytest.approx(newton)
    assert float(damped) == pytest.approx(newton / 4)
    assert float(capped) == LARGEST_RADIUS


def test_inside_the_length_is_the_chains_own() -> None:
    length = steps.lengths(state(radius=0.1), torch.ones(1, 1), torch.ones(1, 1), torch.ones(1), 10.0, 3.0)
    assert float(length) == pytest.approx(0.3)


def test_the_radius_follows_whether_steps_from_inside_stay_inside() -> None:
    inside, out = torch.zeros(1), torch.ones(1)
    stayed = steps.adapted(state(radius=0.1), inside, torch.tensor([True]), AIM)
    left = steps.adapted(state(radius=0.1), out, torch.tensor([False]), AIM)
    deviation = math.sqrt(0.6 * 0.4)
    assert float(stayed.radius) == pytest.approx(0.1 * math.exp(0.3 * 0.4 / deviation))
    assert float(left.radius) == pytest.approx(0.1 * math.exp(-0.3 * 0.6 / deviation))
    assert (float(stayed.violation), float(left.violation)) == (0.0, 1.0)


def test_the_radius_neither_rises_nor_falls_where_as_many_stay_as_are_to() -> None:
    """In the long run: six of ten staying leaves the radius where it was."""
    s = state(radius=0.1)
    for i in range(10):
        feasible = i % 5 in (0, 1, 2)
        s = steps.adapted(s._replace(violation=torch.zeros(1)), torch.zeros(1), torch.tensor([feasible]), AIM)
    assert float(s.radius) == pytest.approx(0.1)


def test_the_radius_keeps_to_its_bounds() -> None:
    for feasible, bound in ((True, LARGEST_RADIUS), (False, AIM.smallest)):
        s = state(radius=0.1)
        for _ in range(50):
            s = steps.adapted(s._replace(violation=torch.zeros(1)), torch.zeros(1), torch.tensor([feasible]), AIM)
        assert float(s.radius) == bound


def test_a_step_from_outside_says_nothing_of_the_radius_and_halves_the_damping_where_it_made_things_worse() -> None:
    for violation, damping in ((3.0, 0.25), (1.0, 0.75), (2.0, 0.75)):
        after = steps.adapted(
            state(damping=0.5, violation=2.0), torch.full((1,), violation), torch.tensor([False]), AIM
        )
        assert float(after.radius) == 0.1
        assert float(after.damping) == pytest.approx(damping)
    recovered = steps.adapted(state(damping=0.9, violation=2.0), torch.ones(1), torch.tensor([False]), AIM)
    assert float(recovered.damping) == 1
    left = steps.adapted(state(damping=0.5, violation=0.0), torch.ones(1), torch.tensor([False]), AIM)
    assert float(left.damping) == 1


def test_the_first_step_teaches_nothing() -> None:
    first = Steps.first(2, "cpu")
    after = steps.adapted(first, torch.tensor([0.0, 4.0]), torch.tensor([True, False]), AIM)
    assert torch.equal(after.radius, first.radius)
    assert torch.equal(after.damping, first.damping)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_codes_in_other_units_take_the_same_lengths_in_those_units(scale: float) -> None:
    """c → s·c: ∂L/∂c → ∂L/∂c / s, and every length grows by s."""
    gradient, df = torch.tensor([[0.3, -0.4]], dtype=torch.float64), torch.tensor([[1.7]], dtype=torch.float64)
    for violation in (0.0, 2.0):
        arguments = (df, torch.ones(1, dtype=torch.float64), 10.0)
        plain = steps.lengths(state(violation=violation), gradient, *arguments, 7.0)
        scaled = steps.lengths(state(violation=violation), gradient / scale, *arguments, 7.0 * scale)
        torch.testing.assert_close(scaled, plain * scale)
