"""The sum over pairs (eqs. 5, 6, 7, 14, 16) as moments, against the double sum as it is printed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invset.core.diversity import Moments, between_gradient, moments, pairwise_gradient

SIZES = [(1, 1, 1), (2, 1, 3), (10, 10, 7), (7, 23, 4), (31, 2, 50)]
CLOSE = {"rtol": 1e-11, "atol": 1e-11}


def literal_pairs(encodings: Tensor) -> Tensor:
    """Σ_{i,j=1}^n ‖e_i − e_j‖², as in eq. 6."""
    return sum(((a - b).square().sum() for a in encodings for b in encodings), torch.zeros((), dtype=torch.float64))


def literal_between(encodings: Tensor, fixed: Tensor) -> Tensor:
    """Σ_i Σ_y ‖e_i − e_y‖², as in eq. 7."""
    return sum(((e - y).square().sum() for e in encodings for y in fixed), torch.zeros((), dtype=torch.float64))


def two_sets(n: int, m: int, d: int, offset: float = 3.0) -> tuple[Tensor, Tensor]:
    randomness = torch.Generator().manual_seed(n + 100 * m + 10000 * d)
    first = torch.randn(n, d, generator=randomness, dtype=torch.float64) + offset
    return first, 2 * torch.randn(m, d, generator=randomness, dtype=torch.float64) - offset


@pytest.mark.parametrize(("n", "m", "d"), SIZES)
def test_eqs_6_and_7_and_their_gradients_are_those_of_the_double_sums(n: int, m: int, d: int) -> None:
    e, fixed = two_sets(n, m, d)
    group, c0, leaf = moments(e), moments(fixed), e.clone().requires_grad_()
    pairs, between = literal_pairs(leaf), literal_between(leaf, fixed)
    (pairs_gradient,) = torch.autograd.grad(pairs, leaf)
    (gradient_between,) = torch.autograd.grad(between, leaf)
    torch.testing.assert_close(group.pairwise(), pairs.detach()[None], **CLOSE)
    torch.testing.assert_close(group.between(c0), between.detach()[None], **CLOSE)
    torch.testing.assert_close(c0.between(group), group.between(c0), **CLOSE)
    torch.testing.assert_close(pairwise_gradient(e, group), pairs_gradient, **CLOSE)
    torch.testing.assert_close(between_gradient(e, c0), gradient_between, **CLOSE)


def test_groups_are_each_what_they_are_alone() -> None:
    """In any order, one of them empty: sizes, sums, distances, gradients."""
    e, others = two_sets(12, 9, 5)
    group = torch.tensor([2, 0, 2, 3, 0, 3, 3, 2, 0, 2, 2, 3])
    of_other = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2, 0])
    together, fixed = moments(e, group, 4), moments(others, of_other, 4)
    for number in range(4):
        mine, theirs = e[group == number], others[of_other == number]
        alone = moments(mine)
        torch.testing.assert_close(Moments(*(values[number : number + 1] for values in together)), alone)
        torch.testing.assert_close(together.pairwise()[number], literal_pairs(mine), **CLOSE)
        torch.testing.assert_close(together.between(fixed)[number], literal_between(mine, theirs), **CLOSE)
        rows = pairwise_gradient(e, together.rows(group))[group == number]
        torch.testing.assert_close(rows, pairwise_gradient(mine, alone), **CLOSE)
    either = together.where(torch.tensor([True, False, False, True]), fixed)
    assert either.size.tolist() == [3, 0, 5, 0]
    torch.testing.assert_close(either.sum[2], together.sum[2])
    torch.testing.assert_close(either.sum[0], fixed.sum[0])


def test_a_set_with_nothing_in_it_pushes_nothing() -> None:
    """While seeding, eq. 9 is eq. 11 with an empty C₀."""
    e, _ = two_sets(4, 1, 3)
    for nothing in (moments(e[:0]), Moments.none(1, 3, "cpu")):
        assert nothing.size == 0
        assert moments(e).between(nothing) == 0
        assert not between_gradient(e, nothing).any()


def test_sums_over_many_float32_encodings_are_taken_in_float64() -> None:
    """A hundred thousand numbers of one sign: a float32 running sum would lose digits that float64 keeps."""
    encodings = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))
    group = moments(encodings)
    assert group.sum.dtype == group.squares.dtype == torch.float64
    torch.testing.assert_close(group.sum[0], encodings.double().sum(dim=0), rtol=1e-13, atol=0)
    torch.testing.assert_close(group.squares[0], encodings.double().square().sum(), rtol=1e-8, atol=0)
    assert pairwise_gradient(encodings, group).dtype == torch.float32
