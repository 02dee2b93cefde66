"""Shares, against SciPy's Wilson interval and counting."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from invset.metrics.share import in_range, in_top, share


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (999, 1000)])
def test_wilson_against_scipy(successes, trials):
    low, high = scipy.stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert share(successes, trials) == pytest.approx((successes / trials, low, high), abs=1e-14)


def test_wilson_stays_within_its_ends():
    for successes in range(11):
        value, low, high = share(successes, 10)
        assert share(10 - successes, 10) == pytest.approx((1 - value, 1 - high, 1 - low), abs=1e-14)
        assert 0 <= low <= value <= high <= 1
    assert all(map(math.isnan, share(0, 0)))


def test_in_range_with_its_ends():
    activations = torch.tensor([0.9, 1.0, 1.5, 2.0, 2.1, math.nan, math.inf, -math.inf])
    assert in_range(activations, 1, 2).tolist() == [False, True, True, True, False, False, False, False]
    assert in_range(activations, 1, math.inf).sum() == 5
    assert in_range(torch.tensor([0.1, 0.2]), 0.1, 0.2).all()  # 0.1 and 0.2 in float32 are above both


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_top_against_torchs(k):
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(k))
    assert torch.equal(in_top(logits, 4, k), (logits.topk(k).indices == 4).any(dim=1))


def test_ties_and_nan_are_not_in_the_top():
    assert in_top(torch.ones(2, 5), 2, 4).tolist() == [False, False]
    assert in_top(torch.tensor([[2.0, 2.0, 1.0]]), 0, 2).tolist() == [True]  # first or second, whichever
    nan = torch.tensor([[math.nan, 1.0], [2.0, math.nan], [math.inf, -math.inf]])
    assert in_top(nan, 0, 2).tolist() == [False, False, True]
