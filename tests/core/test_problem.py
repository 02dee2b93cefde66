"""From codes to images, encodings and activations, and gradients back (eqs. 1, 5, 6, 14, 15)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from invset.core.problem import Problem, round_to_eight_bits
from invset.errors import NonFiniteError
from tests.toys import Tiny, as_images, problem_of

OBJECTIVES = ["encodings", "images", "codes", "none"]


TINY = Tiny(units=(2, 0), ranges=((0.0, 1.0),) * 2)


def codes(k: int = 7) -> Tensor:
    return torch.randn(k, 7, generator=torch.Generator().manual_seed(k), dtype=torch.float64)


def pulls(evaluation) -> tuple[Tensor, Tensor]:
    randomness = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(x.shape, generator=randomness, dtype=x.dtype)
        for x in (evaluation.encodings, evaluation.activations)
    )


def test_rounding_is_that_of_a_file_read_back() -> None:
    """Written as numpy rounds (half to even) into a uint8, and read as uint8 / 255; out of range goes to the edge."""
    randomness = torch.Generator().manual_seed(0)
    ties = (torch.arange(255).float() + 0.5) / 255
    edges = torch.tensor([-1e30, -3.0, -1e-9, -0.0, 0.0, 1.0, 1 + 1e-7, 1.5, 1e30])
    levels = torch.arange(256) / 255
    values = torch.cat([torch.rand(20_000, generator=randomness) * 1.4 - 0.2, ties, edges, levels])
    saved = np.rint(np.clip(values.numpy(), 0, 1) * np.float32(255)).astype(np.uint8)
    read = torch.from_numpy(saved.astype(np.float32) / np.float32(255))
    ours = round_to_eight_bits(values)
    assert torch.equal(ours, read)
    assert torch.equal(ours[-256:], levels)
    assert torch.equal(round_to_eight_bits(ours), ours)
    assert (ours - values.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-7


def test_rounding_leaves_its_argument_alone_and_passes_the_gradient_straight_through() -> None:
    values = torch.tensor([-2.0, 0.1234, 0.5, 3.0], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 3.0, 4.0])
    rounded = round_to_eight_bits(values)
    (gradient,) = torch.autograd.grad((rounded * weights).sum(), values)
    assert torch.equal(gradient, weights)
    assert torch.equal(values.detach(), torch.tensor([-2.0, 0.1234, 0.5, 3.0]))


def test_activations_are_those_of_the_rounded_image_and_the_gradient_is_taken_there() -> None:
    """Straight through: ∂L/∂c = (∂x/∂c)ᵀ ∂L/∂x with ∂L/∂x at the 8-bit image."""
    c = codes()
    evaluation, pull_back = TINY.problem(eight_bit=True).linearise(c)
    images = TINY.generate(c)
    assert torch.equal((evaluation.images * 255).round() / 255, evaluation.images)
    assert not torch.equal(evaluation.images, images)
    rounded = evaluation.images.clone().requires_grad_()
    e, f = TINY.read(rounded)
    torch.testing.assert_close(evaluation.activations, f.detach())
    torch.testing.assert_close(evaluation.encodings, e.detach())
    de, df = pulls(evaluation)
    (dx,) = torch.autograd.grad([e, f], rounded, [de, df])
    leaf = c.clone().requires_grad_()
    (expected,) = torch.autograd.grad(TINY.generate(leaf), leaf, dx)
    torch.testing.assert_close(pull_back(de, df), expected)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_pulled_back_gradient_is_the_central_difference(objective: str) -> None:
    """Of the weighted sum of encodings (eqs. 5, 6, 14) and activations; with eq. 15, of activations alone."""
    c = codes(3)
    problem = TINY.problem(objective=objective)
    evaluation, pull_back = problem.linearise(c)
    de, df = pulls(evaluation)
    gradient = pull_back(de, df)

    def total(at: Tensor) -> float:
        e = problem.evaluate(at)
        pull = 0 if objective == "none" else (e.encodings * de).sum()
        return float((e.activations * df).sum() + pull)

    for i in range(3):
        for j in range(7):
            ahead, behind = c.clone(), c.clone()
            ahead[i, j] += 1e-5
            behind[i, j] -= 1e-5
            assert float(gradient[i, j]) == pytest.approx((total(ahead) - total(behind)) / 2e-5, rel=1e-6, abs=1e-8)


def test_what_the_objective_compares() -> None:
    c = codes()
    images = TINY.generate(c)
    compared = {o: TINY.problem(objective=o).evaluate(c).encodings for o in OBJECTIVES}
    torch.testing.assert_close(compared["encodings"], TINY.read(images)[0])
    torch.testing.assert_close(compared["images"], images.flatten(1))
    torch.testing.assert_close(compared["codes"], c)
    torch.testing.assert_close(compared["none"], TINY.read(images)[0])


def test_codes_are_bounded_to_the_nearest_within() -> None:
    c = torch.tensor([[-1.0, 0.5, 31.0]])
    assert TINY.problem(code_bounds=(0.0, 30.0)).bound(c).tolist() == [[0, 0.5, 30]]
    assert torch.equal(TINY.problem().bound(c), c)


def test_no_gradient_leads_out_of_the_bounds() -> None:
    """Downhill is against the gradient: entries at a bound that would go beyond it stay."""
    c = torch.tensor([[0.0, 0.0, 30.0, 30.0, 5.0]])
    gradient = torch.tensor([[1.0, -1.0, 1.0, -1.0, 1.0]])
    assert TINY.problem(code_bounds=(0.0, 30.0)).free(c, gradient).tolist() == [[0, -1, 1, 0, 1]]
    assert torch.equal(TINY.problem().free(c, gradient), gradient)


def test_nothing_of_a_graph_is_left_on_what_is_returned() -> None:
    c = codes()
    for objective in OBJECTIVES:
        evaluation, pull_back = TINY.problem(objective=objective).linearise(c)
        gradient = pull_back(*pulls(evaluation))
        assert not any(tensor.requires_grad for tensor in (*evaluation, gradient, c))


def rooted(row: int, column: int, value: float) -> tuple[Problem, Tensor]:
    """f = √c₀ and E = c₁, c₂, at seven codes (1, 1, 1) of which one has another entry."""
    c = torch.ones(7, 3, dtype=torch.float64)
    c[row, column] = value

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.flatten(1)
        return x[:, 1:], x[:, :1].sqrt()

    return problem_of(as_images, read), c


@pytest.mark.parametrize("column", [0, 1], ids=["activation", "encoding"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_caught_where_it_arises(column: int, value: float) -> None:
    problem, c = rooted(3, column, value)
    with pytest.raises(NonFiniteError, match=r"^the activation or encoding of 1 of 7 codes became") as raised:
        problem.linearise(c)
    assert raised.value.rows.nonzero().tolist() == [[3]]
    assert problem.evaluate(c).finite.logical_not().nonzero().tolist() == [[3]]


def test_a_gradient_that_is_not_finite_is_caught() -> None:
    """Finite where it is, and of infinite slope: the root of 0."""
    problem, c = rooted(5, 0, 0.0)
    evaluation, pull_back = problem.linearise(c)
    with pytest.raises(NonFiniteError, match=r"^the gradient of 1 of 7 codes became") as raised:
        pull_back(torch.ones_like(evaluation.encodings), torch.ones_like(evaluation.activations))
    assert raised.value.rows.nonzero().tolist() == [[5]]
