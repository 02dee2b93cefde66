"""How far each step goes: the β of sec. 3.4 (step 3), which the paper leaves open."""

from __future__ import annotations

import math

import pytest
import torch

from invset.core import lagrangian, steps
from invset.core.chains import Chains
from invset.core.lagrangian import Multipliers, Scales
from invset.core.region import Region
from invset.core.steps import LARGEST_RADIUS, Aim, Pulls
from tests.toys import as_images, problem_of

AIM = Aim(staying=0.6, smallest=0.06)
MU = torch.tensor([10.0])


def chain(radius: float = 0.1, damping: float = 1.0, violation: float = 0.0) -> Chains:
    """One, of whose state lengths depend on no more."""
    numbers = [torch.tensor([value], dtype=torch.float64) for value in (radius, damping, violation)]
    return Chains(torch.zeros(1, 3), torch.zeros(1, 1), *numbers, torch.zeros(1, dtype=torch.int64))


def adapted(before: Chains, violation: float, aim: Aim = AIM) -> Chains:
    return steps.adapt(before, torch.tensor([violation]), aim)


def test_a_zero_gradient_moves_nothing() -> None:
    codes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    gradient = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    moved = steps.descend(codes, gradient, torch.tensor([5.0, 0.5]))
    assert torch.equal(moved, torch.tensor([[1.0, 2.0], [3.0, 3.5]]))
    for violation in (0.0, 1.0):
        length = steps.lengths(chain(violation=violation), gradient[:1], torch.ones(1, 1), torch.ones(1), MU, 1.0)
        assert length.isfinite().all()


def test_a_step_goes_down_the_gradient_by_its_length_whatever_the_gradients_size() -> None:
    codes = torch.zeros(3, 2, dtype=torch.float64)
    gradient = torch.tensor([[3.0, 4.0], [3e8, 4e8], [3e-8, 4e-8]], dtype=torch.float64)
    moved = steps.descend(codes, gradient, torch.full((3,), 5.0, dtype=torch.float64))
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
    multipliers = Multipliers(torch.zeros(1, 1, dtype=torch.float64), torch.tensor([penalty]))
    df = lagrangian.activation_gradient(activations, multipliers, region, scales)
    violation = region.violation(activations).sum(dim=1)
    length = steps.lengths(
        chain(violation=float(violation)), df * slope, df, scales.constraint, multipliers.penalty, 1e6
    )
    landed = steps.descend(codes, df * slope, length) @ slope.T
    assert float(landed) == pytest.approx(12.5 if f < 10 else 17.5, rel=1e-12)


def test_outside_the_length_is_damped_and_capped() -> None:
    gradient, df = torch.tensor([[2.0]]), torch.tensor([[4.0]])
    newton = (3.0 * 4.0) ** 2 / (10.0 * 2.0)
    plain = steps.lengths(chain(violation=1.0), gradient, df, torch.tensor([3.0]), MU, 1e6)
    damped = steps.lengths(chain(violation=1.0, damping=0.25), gradient, df, torch.tensor([3.0]), MU, 1e6)
    capped = steps.lengths(chain(violation=1.0), gradient, df, torch.tensor([3.0]), MU, 1.0)
    assert float(plain) == pytest.approx(newton)
    assert float(damped) == pytest.approx(newton / 4)
    assert float(capped) == LARGEST_RADIUS


def test_inside_the_length_is_the_chains_own() -> None:
    length = steps.lengths(chain(radius=0.1), torch.ones(1, 1), torch.ones(1, 1), torch.ones(1), MU, 3.0)
    assert float(length) == pytest.approx(0.3)


def test_the_radius_follows_whether_steps_from_inside_stay_inside() -> None:
    stayed, left = adapted(chain(), 0.0), adapted(chain(), 1.0)
    deviation = math.sqrt(0.6 * 0.4)
    assert float(stayed.radius) == pytest.approx(0.1 * math.exp(0.3 * 0.4 / deviation))
    assert float(left.radius) == pytest.approx(0.1 * math.exp(-0.3 * 0.6 / deviation))
    assert (float(stayed.violation), float(left.violation)) == (0.0, 1.0)


def test_the_radius_neither_rises_nor_falls_where_as_many_stay_as_are_to() -> None:
    """In the long run: six of ten staying leaves the radius where it was."""
    one = chain()
    for i in range(10):
        one = adapted(one._replace(violation=torch.zeros(1)), float(i % 5 > 2))
    assert float(one.radius) == pytest.approx(0.1)


@pytest.mark.parametrize(("violation", "bound"), [(0.0, LARGEST_RADIUS), (1.0, AIM.smallest)])
def test_the_radius_keeps_to_its_bounds(violation: float, bound: float) -> None:
    one = chain()
    for _ in range(50):
        one = adapted(one._replace(violation=torch.zeros(1)), violation)
    assert float(one.radius) == bound
    assert float(steps.widen(chain(radius=1e-4), AIM).radius) == AIM.smallest


def test_a_step_from_outside_says_nothing_of_the_radius_and_halves_the_damping_where_it_made_things_worse() -> None:
    for violation, damping in ((3.0, 0.25), (1.0, 0.75), (2.0, 0.75)):
        after = adapted(chain(damping=0.5, violation=2.0), violation)
        assert (float(after.radius), float(after.damping)) == (0.1, damping)
    assert float(adapted(chain(damping=0.9, violation=2.0), 1.0).damping) == 1
    assert float(adapted(chain(damping=0.9, violation=2.0), 1.0, AIM._replace(relaxation=1.5)).damping) == 1.35
    assert float(adapted(chain(damping=0.5), 1.0).damping) == 1


def test_the_first_step_teaches_nothing_of_the_radius() -> None:
    for violation in (0.0, 4.0):
        after = adapted(chain(violation=math.inf), violation)
        assert (float(after.radius), float(after.damping)) == (0.1, 1.0)


@pytest.mark.parametrize("damping", [1.0, 0.2])
def test_a_chain_adrift_feels_the_constraints_alone(damping: float) -> None:
    """Its violation has grown twice however short its steps: the objective, which points outwards, lets go of it."""
    problem = problem_of(as_images, lambda images: (images.flatten(1), images.flatten(1)[:, :1]))
    codes = torch.tensor([[2.0, 1.0, -1.0]], dtype=torch.float64)
    _, pull_back = problem.linearise(codes)
    pulls = Pulls(torch.tensor([[0.0, 3.0, 0.0]]).double(), torch.tensor([[1.0]]).double(), pull_back)
    one = chain(damping=damping, violation=1.0)._replace(codes=codes)
    moved, length = steps.move(problem, one, pulls, MU, torch.ones(1), 100.0)
    direction = (codes - moved) / length
    expected = [1.0, 0.0, 0.0] if damping < 0.25 else [0.1**0.5, 0.9**0.5, 0.0]
    assert direction.flatten().tolist() == pytest.approx(expected)
    _, pull_back = problem.linearise(codes)
    rested, length = steps.move(
        problem, one, pulls._replace(back=pull_back), MU, torch.ones(1), 100.0, torch.tensor([True])
    )
    assert torch.equal(rested, codes)
    assert float(length) == 0
