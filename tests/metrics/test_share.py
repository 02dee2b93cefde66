"""Shares and agreement, against SciPy's Wilson interval and counting."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from invset.metrics.agreement import agreement, in_top
from invset.metrics.share import share, share_in_range


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (999, 1000)])
def test_wilson_against_scipy(successes, trials, level):
    low, high = scipy.stats.binomtest(successes, trials).proportion_ci(level, method="wilson")
    assert share(successes, trials, level=level) == pytest.approx((successes / trials, low, high), abs=1e-14)


def test_wilson_in_words():
    """Of none found in n, up to z²/(n + z²) may be; a failure counts as a success does from the other side."""
    z = 1.959963984540054
    assert share(0, 10) == pytest.approx((0, 0, z**2 / (10 + z**2)), rel=1e-14)
    for successes in range(11):
        value, low, high = share(successes, 10)
        assert share(10 - successes, 10) == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-14)
        assert 0 <= low <= value <= high <= 1
    assert all(map(math.isnan, share(0, 0)))


def test_in_range_with_its_ends():
    activations = torch.tensor([0.9, 1.0, 1.5, 2.0, 2.1, math.nan, math.inf, -math.inf])
    assert share_in_range(activations, 1, 2) == share(3, 8)
    assert share_in_range(activations, 1, math.inf) == share(5, 8)
    assert share_in_range(activations, 2, 2) == share(1, 8)
    assert share_in_range(torch.tensor([0.1, 0.2]), 0.1, 0.2).value == 1  # 0.1 and 0.2 in float32 are above both
    assert all(map(math.isnan, share_in_range(torch.zeros(0), 1, 2)))


def test_in_the_top():
    logits = torch.tensor([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0], [2.0, 3.0, 1.0], [5.0, 4.0, 3.0]])
    assert in_top(logits, 0).tolist() == [True, False, False, True]
    assert in_top(logits, 0, 2).tolist() == [True, False, True, True]
    assert in_top(logits, 0, 3).tolist() == [True] * 4
    assert agreement(logits, 0) == share(2, 4)
    assert agreement(logits, 0, 2, level=0.5) == share(3, 4, level=0.5)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_top_against_torchs(k):
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(k))
    found = (logits.topk(k).indices == 4).any(dim=1)
    assert in_top(logits, 4, k).tolist() == found.tolist()
    moved = logits[torch.randperm(200, generator=torch.Generator().manual_seed(1))] * 3 - 5
    assert agreement(moved, 4, k) == agreement(logits, 4, k)


def test_ties_and_nan_do_not_agree():
    assert in_top(torch.ones(2, 5), 2, 4).tolist() == [False, False]
    assert in_top(torch.tensor([[2.0, 2.0, 1.0]]), 0, 2).tolist() == [True]  # first or second, whichever
    nan = torch.tensor([[math.nan, 1.0], [2.0, math.nan], [math.inf, -math.inf]])
    assert in_top(nan, 0, 2).tolist() == [False, False, True]
    assert all(map(math.isnan, agreement(torch.zeros(0, 5), 0)))


def test_misuse():
    for successes, trials in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="successes are 0 to 3"):
            share(successes, trials)
    with pytest.raises(ValueError, match="a level is between"):
        share(1, 2, level=1)
    for lower, upper in ((2, 1), (math.nan, 1)):
        with pytest.raises(ValueError, match="a range is lower ≤ upper"):
            share_in_range(torch.zeros(3), lower, upper)
    with pytest.raises(ValueError, match=r"activations are \(n,\), not \(3, 1\)"):
        share_in_range(torch.zeros(3, 1), 0, 1)
    with pytest.raises(ValueError, match=r"logits are \(n, classes\)"):
        agreement(torch.zeros(3), 0)
    for row in (-1, 4):
        with pytest.raises(ValueError, match="rows are 0 to 3"):
            agreement(torch.zeros(3, 4), row)
    for k in (0, 5):
        with pytest.raises(ValueError, match="k is 1 to 4"):
            agreement(torch.zeros(3, 4), 0, k)
