"""The augmented Lagrangian of eqs. 9 and 11: slack, multipliers and gradients, one by one."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from invset.core import lagrangian
from invset.core.diversity import moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.region import Region
from tests.toys import exact

RANGES = [(10.0, 20.0), (-4.0, -2.0), (0.0, 1.0)]
K = 5
PENALTY = torch.arange(5.0, 5.0 + K, dtype=torch.float64)  # μ, of each code its own

REGIONS = {
    f"{name}, p={p}": exact(kind(RANGES[:p]))
    for name, kind in (("range", Region.two_sided), ("lower", Region.lower_only))
    for p in (1, 3)
}


@pytest.fixture(params=REGIONS)
def region(request: pytest.FixtureRequest) -> Region:
    return REGIONS[request.param]


@pytest.fixture(params=["r=1", "r=half width"])
def scales(request: pytest.FixtureRequest, region: Region) -> Scales:
    ones = torch.ones_like(region.half_width)
    return Scales(0.07, ones if request.param == "r=1" else region.half_width)


def point(region: Region) -> tuple[Tensor, Multipliers]:
    """Activations on both sides of, and inside, each range; multipliers of both signs."""
    randomness = torch.Generator().manual_seed(len(region.lower))
    p = len(region.lower)
    middle = region.aim_lower + region.half_width / 2
    noise = torch.randn(K, p, generator=randomness, dtype=torch.float64)
    values = 6 * torch.randn(K, p, generator=randomness, dtype=torch.float64)
    return middle + 2.5 * region.half_width * noise, Multipliers(values, PENALTY)


def literal_terms(f: Tensor, s: Tensor, multipliers: Multipliers, scales: Scales) -> Tensor:
    """−λ (f − s)/r + μ/2 ((f − s)/r)² of each constraint, as in eq. 9 (where r = 1)."""
    residual = (f - s) / scales.constraint
    return -multipliers.values * residual + multipliers.penalty[:, None] / 2 * residual**2


def test_eq_9_the_slack_minimises_the_lagrangian_over_its_interval(region: Region, scales: Scales) -> None:
    f, multipliers = point(region)
    s = lagrangian.slack(f, multipliers, region, scales)
    assert (s >= region.aim_lower).all()
    assert (s <= region.aim_upper).all()
    for i in range(K):
        for j in range(len(region.lower)):
            unit, mu, lam = float(scales.constraint[j]), float(PENALTY[i]), float(multipliers.values[i, j])

            def term(s_ij: float, unit=unit, mu=mu, lam=lam, f_ij=float(f[i, j])) -> float:
                residual = (f_ij - s_ij) / unit
                return -lam * residual + mu / 2 * residual**2

            low = float(region.aim_lower[j])
            high = min(float(region.aim_upper[j]), low + 1000)
            found = minimize_scalar(term, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
            ours = term(float(s[i, j]))
            assert ours <= min(found.fun, term(low), term(high)) + 1e-9
            assert float(s[i, j]) == pytest.approx(found.x, abs=1e-4)


def test_eq_9_lower_only_and_r_1_give_the_papers_slack_and_multipliers() -> None:
    """The paper's slack t is that of ε₀ − z₂ + f: t = max(0, ε₀ − z₂ + f − λ/μ), and ours is s = t + z₂ − ε₀."""
    z1, z2 = RANGES[0]
    region = exact(Region.lower_only([(z1, z2)]))
    scales = Scales(1.0, torch.ones(1, dtype=torch.float64))
    f = torch.linspace(-10, 40, 101, dtype=torch.float64)[:, None]
    epsilon0 = (z2 - z1) / 2
    multipliers = Multipliers(torch.linspace(80, 0, 101, dtype=torch.float64)[:, None], torch.full((101,), 10.0))
    t = (epsilon0 - z2 + f - multipliers.values / 10).clamp_min(0)
    assert 10 < (t == 0).sum() < 90
    torch.testing.assert_close(lagrangian.slack(f, multipliers, region, scales), t + z2 - epsilon0)
    expected = (multipliers.values - 10 * (epsilon0 - z2 + f)).clamp_min(0)
    updated = lagrangian.next_multipliers(f, multipliers, region, scales)
    torch.testing.assert_close(updated, expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("with_c0", [False, True], ids=["eq. 9", "eq. 11"])
def test_value_is_the_printed_lagrangian_and_the_gradients_its_own(
    region: Region, scales: Scales, with_c0: bool
) -> None:
    """L with the sums over pairs written out; autograd, with the slack held where it is best."""
    f, multipliers = point(region)
    randomness = torch.Generator().manual_seed(3)
    e = torch.randn(K, 4, generator=randomness, dtype=torch.float64).requires_grad_()
    c0 = torch.randn(3, 4, generator=randomness, dtype=torch.float64) + 1
    f.requires_grad_()
    s = lagrangian.slack(f.detach(), multipliers, region, scales)
    objective = sum((a - b).square().sum() for a in e for b in e)
    if with_c0:
        objective = objective + sum((a - y).square().sum() for a in e for y in c0)
    printed = -scales.objective * objective + literal_terms(f, s, multipliers, scales).sum()
    expected_e, expected_f = torch.autograd.grad(printed, [e, f])

    group, fixed = moments(e.detach()), moments(c0) if with_c0 else None
    value = lagrangian.value(f.detach(), group, fixed, multipliers, region, scales)
    torch.testing.assert_close(value, printed.detach(), rtol=1e-12, atol=1e-10)
    ours_e = lagrangian.encoding_gradient(e.detach(), group, fixed, scales)
    ours_f = lagrangian.activation_gradient(f.detach(), multipliers, region, scales)
    torch.testing.assert_close(ours_e, expected_e, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(ours_f, expected_f, rtol=1e-11, atol=1e-12)
