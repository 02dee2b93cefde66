"""Activation ranges (eq. 1), the paper's one-sided constraint (eq. 8), and several at once (eq. 12)."""

import pytest
import torch

from invset.core.region import Region

INF = float("inf")
NAN = float("nan")
TWO = Region.two_sided([(10.0, 20.0), (-4.0, -2.0)])
LOWER = Region.lower_only([(10.0, 20.0)])


def test_eq_1_bounds_belong_to_the_range() -> None:
    f = torch.tensor([[10.0, -4.0], [20.0, -2.0], [15.0, -3.0], [9.999, -3.0], [20.001, -3.0], [15.0, -1.9], [15, -5]])
    assert TWO.contains(f).tolist() == [True, True, True, False, False, False, False]


def test_violation_is_the_distance_to_the_range_in_units_of_activation() -> None:
    f = torch.tensor([[15.0, -3.0], [10.0, -2.0], [7.0, 1.0], [26.0, -4.5]])
    assert TWO.violation(f).tolist() == [[0, 0], [0, 0], [3, 3], [6, 0.5]]


@pytest.mark.parametrize(("aim", "low", "high"), [(0.5, 12.5, 17.5), (1.0, 10.0, 20.0), (0.0, 15.0, 15.0)])
def test_the_slack_keeps_to_the_middle_part_of_the_range(aim: float, low: float, high: float) -> None:
    region = Region.two_sided([(10.0, 20.0)], aim=aim)
    values = torch.tensor([[-100.0], [11.0], [15.0], [19.0], [100.0]])
    expected = [low, max(11.0, low), 15.0, min(19.0, high), high]
    assert region.project(values).flatten().tolist() == expected
    assert torch.equal(TWO.half_width, torch.tensor([5.0, 1.0]))


def test_eq_8_lower_only_is_z2_minus_f_at_most_epsilon() -> None:
    z1, z2 = 10.0, 20.0
    f = torch.linspace(0, 200, 401)[:, None]
    assert torch.equal(LOWER.contains(f), (z2 - f <= z2 - z1)[:, 0])
    assert torch.equal(LOWER.violation(f), (z1 - f).clamp_min(0))


def test_eq_9_lower_only_aims_at_z2_minus_half_epsilon_and_above() -> None:
    values = torch.tensor([[9.0], [14.0], [15.0], [16.0], [1e30], [INF]])
    assert LOWER.project(values).flatten().tolist() == pytest.approx([15, 15, 15, 16, 1e30, INF])


@pytest.mark.parametrize("region", [TWO, Region.lower_only([(10.0, 20.0), (-4.0, -2.0)])])
def test_an_activation_that_is_not_a_number_is_never_inside(region: Region) -> None:
    f = torch.tensor([[NAN, -3.0], [15.0, NAN]])
    assert not region.contains(f).any()
    assert region.violation(f).isnan().any(dim=1).all()


@pytest.mark.parametrize("kind", [Region.two_sided, Region.lower_only])
@pytest.mark.parametrize("wrong", [(2.0, 1.0), (1.0, 1.0), (NAN, 1.0), (1.0, NAN)])
def test_a_range_is_two_numbers_in_order(kind, wrong) -> None:
    with pytest.raises(ValueError, match="in order"):
        kind([(0.0, 1.0), wrong])
