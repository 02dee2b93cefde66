"""A ratio over groups, against SciPy's t interval and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from invset.metrics.across import ratio_over_groups, sign_count
from invset.metrics.estimate import Estimate


@pytest.mark.parametrize("groups", [3, 4, 24])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_is_scipys_of_logarithms(groups: int, level: float):
    ratios = np.exp(np.random.default_rng(groups).normal(0.3, 0.4, groups))
    logs = np.log(ratios)
    expected = np.exp(scipy.stats.t.interval(level, groups - 1, logs.mean(), scipy.stats.sem(logs)))
    estimate = ratio_over_groups(ratios.tolist(), level=level)
    assert estimate.value == pytest.approx(scipy.stats.gmean(ratios), rel=1e-13)
    assert estimate[1:] == pytest.approx(tuple(expected), rel=1e-12)


def test_the_other_way_round_is_one_over_it():
    one, other = ratio_over_groups([1.2, 0.7, 2.0, 1.1]), ratio_over_groups([1 / 1.2, 1 / 0.7, 0.5, 1 / 1.1])
    assert tuple(other) == pytest.approx((1 / one.value, 1 / one.high, 1 / one.low), rel=1e-12)


def test_intervals_of_the_groups_are_not_used():
    numbers = [1.2, 0.7, 2.0]
    assert ratio_over_groups([Estimate(one, 0.0, math.nan) for one in numbers]) == ratio_over_groups(numbers)


def test_too_few_or_not_to_be_averaged():
    for ratios, value in (
        ([4.0, 1.0], 2),
        ([2.0], 2),
        ([], math.nan),
        ([1.0, 2.0, 3.0, math.nan], math.nan),
        ([1.0, 2.0, 0.0], 0),
        ([1.0, 2.0, math.inf], math.inf),
        ([1.0, 0.0, math.inf], math.nan),
    ):
        assert ratio_over_groups(ratios) == pytest.approx((value, math.nan, math.nan), nan_ok=True)
    with pytest.raises(ValueError, match="not negative"):
        ratio_over_groups([1.0, -1.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        ratio_over_groups([1.0], level=1.0)


def test_signs():
    assert sign_count([1.5, Estimate(0.9, 0.1, 4.0), 1.0, math.nan, math.inf, 0.0]) == (2, 2)
    assert sign_count([]) == (0, 0)
