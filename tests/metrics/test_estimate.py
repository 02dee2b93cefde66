"""Intervals: the jackknife and that over groups, against SciPy's; of the Vendi score the jackknife holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from invset.metrics.estimate import DEALT, jackknife, mean_over_groups, ratio_over_groups
from invset.metrics.vendi import cosine_kernel, vendi_estimate, vendi_score


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _mean(values: torch.Tensor):
    return lambda rows: values[rows].mean().item()


def test_of_a_mean_with_a_sample_a_group_it_is_students_interval():
    values = _points(17)
    expected = scipy.stats.ttest_1samp(values.numpy(), 0).confidence_interval(0.95)
    assert jackknife(17, _mean(values)) == pytest.approx((values.mean().item(), *expected), rel=1e-12)


def test_of_a_mean_in_groups_it_is_students_interval_of_the_groups_means():
    values = _points(DEALT * 10)
    estimate = jackknife(len(values), _mean(values), random_seed=3)
    dealt = torch.randperm(len(values), generator=torch.Generator().manual_seed(3)) % DEALT
    means = [values[dealt == group].mean().item() for group in range(DEALT)]
    expected = scipy.stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert estimate == pytest.approx((values.mean().item(), *expected), rel=1e-12)


def test_of_the_vendi_score_it_holds_the_truth():
    truth = sum(vendi_score(cosine_kernel(_points(60, 8, seed=s))) for s in range(1000, 1400)) / 400
    trials = 200
    estimates = [vendi_estimate(cosine_kernel(_points(60, 8, seed=trial))) for trial in range(trials)]
    held = sum(low <= truth <= high for _, low, high in estimates)
    assert scipy.stats.binomtest(held, trials, 0.95).pvalue > 0.001


def test_it_repeats_itself():
    kernel = cosine_kernel(_points(50, 3))
    assert vendi_estimate(kernel, 1) == vendi_estimate(kernel, 1) != vendi_estimate(kernel, 2)


def test_too_few_and_nan():
    assert all(map(math.isnan, jackknife(0, lambda _: 1 / 0)))
    two = jackknife(2, _mean(torch.tensor([1.0, 3.0])))
    assert (two.value, math.isnan(two.low), math.isnan(two.high)) == (2, True, True)
    assert all(map(math.isnan, jackknife(3, _mean(torch.tensor([1.0, 3.0, math.nan])))))
    assert jackknife(3, _mean(torch.ones(3))) == (1, 1, 1)


@pytest.mark.parametrize("groups", [3, 4, 24])
def test_over_groups_the_interval_is_scipys(groups: int):
    values = np.random.default_rng(groups).normal(0.3, 0.4, groups)
    expected = scipy.stats.t.interval(0.95, groups - 1, values.mean(), scipy.stats.sem(values))
    assert mean_over_groups(values.tolist()) == pytest.approx((values.mean(), *expected), rel=1e-12)
    ratios = np.exp(values)
    assert ratio_over_groups(ratios.tolist()) == pytest.approx(
        (scipy.stats.gmean(ratios), *np.exp(expected)), rel=1e-12
    )


def test_the_other_way_round_is_one_over_it():
    one, other = ratio_over_groups([1.2, 0.7, 2.0, 1.1]), ratio_over_groups([1 / 1.2, 1 / 0.7, 0.5, 1 / 1.1])
    assert tuple(other) == pytest.approx((1 / one.value, 1 / one.high, 1 / one.low), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "mean"), [([4.0, 2.0], 3), ([2.0], 2), ([], math.nan), ([1, 2, math.inf], math.inf)]
)
def test_too_few_groups_have_no_interval(values, mean):
    assert mean_over_groups(values) == pytest.approx((mean, math.nan, math.nan), nan_ok=True)
