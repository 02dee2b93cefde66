"""How far each step goes: the β of sec. 3.4 (step 3), which the paper leaves open."""

from __future__ import annotations

import pytest
import torch

from invset.core import lagrangian, steps
from invset.core.chains import Chains
from invset.core.lagrangian import Multipliers, Scales
from invset.core.region import Region
from invset.core.steps import Aim

MU = torch.tensor([10.0])


def chain(radius: float = 0.1, violation: float = 0.0) -> Chains:
    """One, of whose state lengths depend on no more."""
    numbers = [torch.tensor([value], dtype=torch.float64) for value in (radius, 1.0, violation)]
    return Chains(torch.zeros(1, 3), torch.zeros(1, 1), *numbers, torch.zeros(1, dtype=torch.int64))


def test_a_zero_gradient_moves_nothing() -> None:
    codes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    gradient = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    moved = steps.descend(codes, gradient, torch.tensor([5.0, 0.5]))
    assert torch.equal(moved, torch.tensor([[1.0, 2.0], [3.0, 3.5]]))
    for violation in (0.0, 1.0):
        length = steps.lengths(chain(violation=violation), gradient[:1], torch.ones(1, 1), torch.ones(1), MU, 1.0)
        assert length.isfinite().all()


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
    multipliers = Multipliers(torch.zeros(1, 1, dtype=torch.float64), torch.tensor([penalty]))
    df = lagrangian.activation_gradient(activations, multipliers, region, scales)
    violation = region.violation(activations).sum(dim=1)
    length = steps.lengths(
        chain(violation=float(violation)), df * slope, df, scales.constraint, multipliers.penalty, 1e6
    )
    landed = steps.descend(codes, df * slope, length) @ slope.T
    assert float(landed) == pytest.approx(12.5 if f < 10 else 17.5, rel=1e-12)


def test_the_radius_neither_rises_nor_falls_where_as_many_stay_as_are_to() -> None:
    """In the long run: six of ten staying leaves the radius where it was."""
    one = chain()
    for i in range(10):
        violation = torch.tensor([float(i % 5 > 2)])
        one = steps.adapt(one._replace(violation=torch.zeros(1)), violation, Aim(staying=0.6, smallest=0.06))
    assert float(one.radius) == pytest.approx(0.1)
