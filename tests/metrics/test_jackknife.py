"""The grouped jackknife: of a mean it is Student's interval, and of the Vendi score it holds the truth."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from invset.metrics.bootstrap import bootstrap
from invset.metrics.jackknife import jackknife
from invset.metrics.vendi import cosine_vendi


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_of_a_mean_with_a_sample_a_group_it_is_students_interval():
    values = _points(17)
    estimate = jackknife(values, torch.mean, groups=100, level=0.9)
    expected = scipy.stats.ttest_1samp(values.numpy(), 0).confidence_interval(0.9)
    assert estimate == pytest.approx((values.mean().item(), *expected), rel=1e-12)


def test_of_a_mean_in_groups_it_is_students_interval_of_the_groups_means():
    values = torch.arange(6.0, dtype=torch.float64).repeat_interleave(10)
    estimate = jackknife(values, torch.mean, groups=6, random_seed=3)
    dealt = torch.randperm(60, generator=torch.Generator().manual_seed(3)) % 6
    means = [values[dealt == group].mean().item() for group in range(6)]
    expected = scipy.stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert estimate == pytest.approx((2.5, *expected), rel=1e-12)


def test_of_the_vendi_score_it_holds_the_truth_where_the_bootstrap_does_not():
    truth = sum(cosine_vendi(_points(60, 8, seed=s)) for s in range(1000, 1400)) / 400
    trials = 200
    held = copies = 0
    for trial in range(trials):
        points = _points(60, 8, seed=trial)
        _, low, high = jackknife(points, cosine_vendi)
        held += low <= truth <= high
        if trial < 20:
            copies += bootstrap(points, cosine_vendi, resamples=100).high >= truth
    assert scipy.stats.binomtest(held, trials, 0.95).pvalue > 0.001
    assert copies < 15


def test_it_repeats_itself():
    points = _points(50, 3)
    assert jackknife(points, cosine_vendi, random_seed=1) == jackknife(points, cosine_vendi, random_seed=1)
    assert jackknife(points, cosine_vendi, random_seed=1) != jackknife(points, cosine_vendi, random_seed=2)


def test_too_few_and_nan():
    assert all(map(math.isnan, jackknife(torch.zeros(0), lambda _: 1 / 0)))
    two = jackknife(torch.tensor([1.0, 3.0]), torch.mean)
    assert two.value == 2
    assert math.isnan(two.low)
    assert math.isnan(two.high)
    assert all(map(math.isnan, jackknife(torch.tensor([1.0, 3.0, math.nan]), torch.mean)))
    assert jackknife(torch.ones(3), torch.mean) == (1, 1, 1)


def test_misuse():
    with pytest.raises(ValueError, match="groups are ≥ 2, not 1"):
        jackknife(torch.zeros(3), torch.mean, groups=1)
    with pytest.raises(ValueError, match="a level is between"):
        jackknife(torch.zeros(3), torch.mean, level=2)
