"""Eq. 6 where it has a maximum: codes and multipliers against closed forms and scipy's SLSQP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from invset.core import lagrangian
from invset.core.diversity import moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.problem import Problem
from invset.core.region import Region
from tests.toys import Toy, as_images, exact, is_sampling, problem_of, walk

INNER = 50  # steps of an outer iteration


@dataclass
class Ellipsoid(Toy):
    """Codes are images and encodings; f(c) = h - c'Qc: the sum over pairs has a maximum on {f >= l}."""

    region: Region
    q: tuple[float, ...] = (0.5, 2.0, 3.0)
    h: float = 10.0
    start: Tensor = field(
        default_factory=lambda: torch.tensor([[0.3, 0.2, -0.1], [-0.5, 0.1, 0.2]], dtype=torch.float64)
    )
    references: Tensor = field(
        default_factory=lambda: torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], dtype=torch.float64)
    )

    def generate(self, codes: Tensor) -> Tensor:
        return as_images(codes)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        codes = images.flatten(1)
        return codes, self.h - (codes.square() @ torch.tensor(self.q, dtype=torch.float64))[:, None]

    def draw(self, chain: int, attempt: int) -> Tensor:
        return self.start[chain]


def augmented_lagrangian(
    problem: Problem, region: Region, scales: Scales, codes: Tensor, outer: int = 14
) -> tuple[Tensor, Multipliers]:
    """Sec. 3.4's coordinate descent with the inner problem solved (L-BFGS on L and ∂L/∂C as the core gives them)."""
    shape = codes.shape
    multipliers = Multipliers(torch.zeros(len(codes), len(region.lower), dtype=torch.float64), torch.tensor([10.0]))
    for _ in range(outer):

        def value_and_gradient(flat: np.ndarray, multipliers: Multipliers = multipliers) -> tuple[float, np.ndarray]:
            evaluation, pull_back = problem.linearise(torch.from_numpy(flat.copy()).view(shape))
            e, f = evaluation.encodings, evaluation.activations
            group = moments(e)
            value = lagrangian.value(f, group, None, multipliers, region, scales)
            gradient = pull_back(
                lagrangian.encoding_gradient(e, group, None, scales),
                lagrangian.activation_gradient(f, multipliers, region, scales),
            )
            return float(value), gradient.flatten().numpy()

        options = {"maxiter": 500, "ftol": 1e-15, "gtol": 1e-11}
        found = minimize(value_and_gradient, codes.flatten().numpy(), jac=True, method="L-BFGS-B", options=options)
        codes = torch.from_numpy(found.x).view(shape)
        f = problem.evaluate(codes).activations
        values = lagrangian.next_multipliers(f, multipliers, region, scales)
        multipliers = Multipliers(values, (2 * multipliers.penalty).clamp(max=1000))
    return codes, multipliers


@pytest.mark.parametrize("kind", [Region.lower_only, Region.two_sided])
@pytest.mark.parametrize("unit", ["one", "half width"])
def test_two_codes_on_an_ellipsoid_in_closed_form(kind: Callable, unit: str) -> None:
    """max 2‖c₁ − c₂‖² s.t. h − cᵀQc ≥ l: c₁ = −c₂ on the longest axis, ‖c‖² = (h − l)/q, λ = 4 w r / q.

    −w · 8 c₁ (as c₂ = −c₁) is to equal λ/r · ∂f/∂c₁ = −2 q λ/r c₁.
    """
    region = exact(kind([(2.0, 6.0)]))
    scales = Scales(0.3, torch.ones(1) if unit == "one" else region.half_width)
    toy = Ellipsoid(region)
    codes, multipliers = augmented_lagrangian(toy.problem(), region, scales, toy.start)
    low = float(region.aim_lower)
    expected = torch.tensor([[((toy.h - low) / 0.5) ** 0.5, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(codes[:1] * codes[0, 0].sign(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(codes[1], -codes[0], atol=1e-5, rtol=0)
    dual = 4 * 0.3 * float(scales.constraint) / 0.5
    torch.testing.assert_close(multipliers.values, torch.full((2, 1), dual, dtype=torch.float64), rtol=1e-5, atol=0)


def test_three_codes_two_constraints_against_slsqp() -> None:
    """A curved constraint and a linear two-sided one (eq. 12), p = 2, K = 3: the same codes, the same multipliers."""
    region = exact(Region.two_sided([(2.0, 14.0), (-1.0, 0.5)], aim=1.0))
    q = torch.tensor([1.0, 2.0, 0.6], dtype=torch.float64)
    slope = torch.tensor([0.7, -0.4, 0.9], dtype=torch.float64)
    w = 0.2

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, torch.stack([10 - c.square() @ q, c @ slope], dim=1)

    problem = problem_of(as_images, read)
    start = torch.tensor([[1.0, 0.4, -0.6], [-1.2, 0.5, 0.3], [0.2, -1.1, 0.1]], dtype=torch.float64)
    codes, multipliers = augmented_lagrangian(problem, region, Scales(w, region.half_width), start, outer=20)

    def negative_objective(flat: np.ndarray) -> float:
        c = flat.reshape(3, 3)
        return -w * sum(float((a - b) @ (a - b)) for a in c for b in c)

    def its_gradient(flat: np.ndarray) -> np.ndarray:
        c = flat.reshape(3, 3)
        return np.concatenate([-w * 4 * sum(a - b for b in c) for a in c])

    def constraints(flat: np.ndarray) -> np.ndarray:
        c = flat.reshape(3, 3)
        f1, f2 = 10 - (c**2) @ q.numpy(), c @ slope.numpy()
        return np.concatenate([f1 - 2, 14 - f1, f2 + 1, 0.5 - f2])

    nearby = codes.numpy().flatten() + 0.02 * np.random.default_rng(0).standard_normal(9)
    found = minimize(
        negative_objective,
        nearby,
        jac=its_gradient,
        method="SLSQP",
        constraints={"type": "ineq", "fun": constraints},
        options={"ftol": 1e-11, "maxiter": 500},
    )
    assert found.success
    c = found.x.reshape(3, 3)
    np.testing.assert_allclose(negative_objective(codes.numpy().flatten()), found.fun, rtol=1e-7)
    np.testing.assert_allclose(codes.numpy(), c, atol=2e-4)
    for i in range(3):  # the multipliers at scipy's point: −w ∂objective/∂c_i = Σ_j λ_ij/r_j ∂f_j/∂c_i
        gradient = -w * 4 * (3 * c[i] - c.sum(axis=0))
        jacobian = np.stack([-2 * q.numpy() * c[i], slope.numpy()])
        f = np.array([10 - (c[i] ** 2) @ q.numpy(), c[i] @ slope.numpy()])
        at_bound = (np.abs(f - [2, -1]) < 1e-6) | (np.abs(f - [14, 0.5]) < 1e-6)
        dual = np.zeros(2)
        dual[at_bound] = np.linalg.lstsq(jacobian[at_bound].T, gradient, rcond=None)[0]
        expected = dual * region.half_width.numpy()
        np.testing.assert_allclose(multipliers.values[i].numpy(), expected, rtol=2e-3, atol=2e-4)
    assert (multipliers.values.abs() > 1e-3).any(dim=0).all()  # both constraints bind somewhere


def test_stop_optimised_takes_the_methods_own_steps_to_the_maximum() -> None:
    """Sec. 4.3: seeds optimised all the way spread nearly as far as any in the range, seeds that are just feasible not.

    Inside the ranges f >= z1, so Σ_ij ‖c_i − c_j‖² is at most that of ±sqrt((h − z1)/q) on the longest axis.
    """
    z1 = 2.0
    toy = Ellipsoid(exact(Region.lower_only([(z1, 6.0)])))
    most = 2 * 4 * (toy.h - z1) / toy.q[0]
    aimed = 2 * 4 * (toy.h - float(toy.region.aim_lower)) / toy.q[0]

    def spread(stop: str) -> float:
        _, taken = walk(toy.paper(chains=2, stop=stop, inner_steps=INNER), 2000, until=is_sampling)
        seeds = taken[-1]
        if stop == "optimised":  # judged where an outer iteration ends
            assert int(seeds.outer[0]) > 0
            assert seeds.number % INNER == 0
        return float(moments(seeds.codes).pairwise())

    assert spread("feasible") < 0.1 * most
    assert 0.9 * aimed < spread("optimised") <= most
