"""The sum over pairs (eqs. 5, 6, 7, 14, 16) as moments, against the double sum as it is printed."""

import pytest
import torch
from torch import Tensor

from invset.core.diversity import Moments, between_gradient, pairwise_gradient

SIZES = [(1, 1, 1), (2, 1, 3), (10, 10, 7), (7, 23, 4), (31, 2, 50)]


def literal_pairs(encodings: Tensor) -> Tensor:
    """Σ_{i,j=1}^n ‖e_i − e_j‖², as in eq. 6."""
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(encodings)):
        for j in range(len(encodings)):
            total = total + (encodings[i] - encodings[j]).square().sum()
    return total


def literal_between(encodings: Tensor, fixed: Tensor) -> Tensor:
    """Σ_i Σ_y ‖e_i − e_y‖², as in eq. 7."""
    total = torch.zeros((), dtype=torch.float64)
    for e in encodings:
        for y in fixed:
            total = total + (e - y).square().sum()
    return total


def two_sets(n: int, m: int, d: int, offset: float = 3.0) -> tuple[Tensor, Tensor]:
    randomness = torch.Generator().manual_seed(n + 100 * m + 10000 * d)
    first = torch.randn(n, d, generator=randomness, dtype=torch.float64) + offset
    second = 2 * torch.randn(m, d, generator=randomness, dtype=torch.float64) - offset
    return first.requires_grad_(), second


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_eq_6_and_its_gradient_are_those_of_the_double_sum(n: int, m: int, d: int) -> None:
    encodings, _ = two_sets(n, m, d)
    expected = literal_pairs(encodings)
    (expected_gradient,) = torch.autograd.grad(expected, encodings)
    group = Moments.of(encodings.detach())
    torch.testing.assert_close(group.pairwise(), expected.detach(), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(pairwise_gradient(encodings.detach(), group), expected_gradient, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_eq_7_and_its_gradient_are_those_of_the_double_sum(n: int, m: int, d: int) -> None:
    encodings, fixed = two_sets(n, m, d)
    expected = literal_pairs(encodings) + literal_between(encodings, fixed)
    (expected_gradient,) = torch.autograd.grad(expected, encodings)
    e = encodings.detach()
    group, c0 = Moments.of(e), Moments.of(fixed)
    torch.testing.assert_close(group.pairwise() + group.between(c0), expected.detach(), rtol=1e-12, atol=1e-10)
    gradient = pairwise_gradient(e, group) + between_gradient(e, c0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-11, atol=1e-11)


def test_between_is_the_same_from_either_side() -> None:
    first, second = two_sets(5, 8, 3)
    a, b = Moments.of(first.detach()), Moments.of(second)
    torch.testing.assert_close(a.between(b), b.between(a), rtol=1e-14, atol=0)


def test_a_merged_set_is_the_set_and_its_pairs_are_those_within_and_twice_those_between() -> None:
    first, second = two_sets(5, 8, 3)
    a, b, both = Moments.of(first.detach()), Moments.of(second), Moments.of(torch.cat([first.detach(), second]))
    merged = a.merge(b)
    assert merged.size == both.size == 13
    torch.testing.assert_close(merged.sum, both.sum)
    torch.testing.assert_close(merged.squares, both.squares)
    torch.testing.assert_close(merged.pairwise(), a.pairwise() + b.pairwise() + 2 * a.between(b), rtol=1e-12, atol=0)


def test_micro_batches_merged_give_each_member_its_gradient_in_the_whole_group() -> None:
    """Eq. 16: given the sum, a gradient needs nothing of the other encodings."""
    encodings, _ = two_sets(10, 1, 4)
    (expected,) = torch.autograd.grad(literal_pairs(encodings), encodings)
    batches = encodings.detach().split(3)
    group = Moments.of(batches[0])
    for batch in batches[1:]:
        group = group.merge(Moments.of(batch))
    torch.testing.assert_close(torch.cat([pairwise_gradient(batch, group) for batch in batches]), expected)


def test_a_set_with_nothing_in_it_pushes_nothing() -> None:
    """While seeding, eq. 9 is eq. 11 with an empty C₀."""
    encodings, _ = two_sets(4, 1, 3)
    e = encodings.detach()
    nothing = Moments.of(e[:0])
    assert nothing.size == 0
    assert Moments.of(e).between(nothing) == 0
    assert not between_gradient(e, nothing).any()


def test_equal_encodings_are_at_no_distance_and_have_no_gradient() -> None:
    e = torch.full((6, 3), 0.3, dtype=torch.float64)
    group = Moments.of(e)
    assert abs(float(group.pairwise())) < 1e-12
    assert pairwise_gradient(e, group).abs().max() < 1e-14


def test_sums_over_many_float32_encodings_are_taken_in_float64() -> None:
    """A hundred thousand numbers of one sign: a float32 running sum would lose digits that float64 keeps."""
    randomness = torch.Generator().manual_seed(0)
    encodings = torch.rand(100_000, 2, generator=randomness)
    group = Moments.of(encodings)
    assert group.sum.dtype == group.squares.dtype == torch.float64
    torch.testing.assert_close(group.sum, encodings.double().sum(dim=0), rtol=1e-13, atol=0)
    torch.testing.assert_close(group.squares, encodings.double().square().sum(), rtol=1e-8, atol=0)
    assert pairwise_gradient(encodings, group).dtype == torch.float32
