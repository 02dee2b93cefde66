"""Bootstrap intervals, against SciPy's, all resamples of a small set, and plain Python."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
import scipy.stats
import torch

from invset.metrics import distances
from invset.metrics.bootstrap import bootstrap, bootstrap_mean, draws, percentiles
from invset.metrics.pairwise import mean_pairwise_distance
from invset.metrics.pairwise_interval import mean_pairwise_estimate, mean_pairwise_replicates


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _mean_without_copies(points: list[list[float]], chosen: list[int], power: int = 1) -> float:
    """The mean distance over the pairs of a resample that are not one sample twice, pair by pair."""
    pairs = [(i, j) for i, j in itertools.combinations(chosen, 2) if i != j]
    return statistics.fmean(math.dist(points[i], points[j]) ** power for i, j in pairs)


def test_mean_against_scipy():
    values = torch.randn(40, generator=_generator(3), dtype=torch.float64).exp()
    ours = bootstrap_mean(values, resamples=20_000, level=0.9)
    theirs = scipy.stats.bootstrap(
        (values.numpy(),), np.mean, n_resamples=20_000, confidence_level=0.9, method="percentile", batch=2000
    )
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.value == pytest.approx(statistics.fmean(values.tolist()), rel=1e-14)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=width / 25)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=width / 25)


def test_any_statistic_against_the_same_resamples_in_numpy():
    samples = torch.randn(15, 2, generator=_generator(1), dtype=torch.float64)
    ours = bootstrap(samples, lambda x: x[:, 0].median() * x[:, 1].max(), resamples=200, random_seed=5)
    columns = samples.numpy()
    replicates = [
        np.sort(columns[chosen, 0])[7] * columns[chosen, 1].max()
        for chosen in (d.numpy() for d in draws(15, 200, _generator(5)))
    ]
    assert ours.low == np.quantile(replicates, 0.025, method="lower")
    assert ours.high == np.quantile(replicates, 0.975, method="higher")


def test_draws_are_uniform_and_independent():
    drawn = torch.stack(list(draws(3, 27 * 400, _generator())))
    codes = (drawn * torch.tensor([9, 3, 1])).sum(dim=1)
    assert scipy.stats.chisquare(torch.bincount(codes, minlength=27).numpy()).pvalue > 0.01


def test_draws_with_two_different_ones_are_the_others_left_out():
    drawn = torch.stack(list(draws(3, 24 * 400, _generator(), distinct=2)))
    codes = torch.bincount((drawn * torch.tensor([9, 3, 1])).sum(dim=1), minlength=27)
    assert codes[[0, 13, 26]].tolist() == [0, 0, 0]
    assert scipy.stats.chisquare(codes[codes > 0].numpy()).pvalue > 0.01


@pytest.mark.parametrize("measure", [bootstrap_mean, lambda x, **kw: mean_pairwise_estimate(x[:, None], **kw)])
def test_it_repeats_itself_and_leaves_the_global_generator_alone(measure):
    values = torch.randn(30, generator=_generator(2))
    before = torch.get_rng_state()
    first = measure(values, random_seed=7)
    assert measure(values, random_seed=7) == first
    assert measure(values, random_seed=8)[1:] != first[1:]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("measure", [bootstrap_mean, lambda x, **kw: mean_pairwise_estimate(x[:, None], **kw)])
def test_scaling_and_levels(measure):
    values = torch.randn(30, generator=_generator(2), dtype=torch.float64)
    estimate = measure(values)
    assert measure(4 * values) == tuple(4 * end for end in estimate)  # exact: a power of two
    wide, narrow = measure(values, level=0.99), measure(values, level=0.5)
    assert wide.low < estimate.low < narrow.low < estimate.value < narrow.high < estimate.high < wide.high


def test_infinite_replicates_do_no_harm_and_nan_is_passed_on():
    replicates = torch.tensor([1.0, 2.0, 3.0, math.inf], dtype=torch.float64)
    assert percentiles(2.0, replicates, 0.5) == (2.0, 1.0, math.inf)
    assert percentiles(2.0, replicates, 0.1) == (2.0, 2.0, 3.0)
    poisoned = bootstrap_mean(torch.tensor([1.0, math.nan, 2.0]))
    assert all(map(math.isnan, poisoned))


@pytest.fixture(params=[3, 256])
def _rows(request, monkeypatch):
    monkeypatch.setattr(distances.blocks, "__defaults__", (request.param,))


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("count", [3, 4, 9])
def test_pairwise_replicates_pair_by_pair(count, power):
    points = torch.randn(count, 5, generator=_generator(count), dtype=torch.float64)
    value, replicates = mean_pairwise_replicates(points, 600, _generator(4), squared=power == 2)
    expected = [
        _mean_without_copies(points.tolist(), chosen.tolist(), power)
        for chosen in draws(count, 600, _generator(4), distinct=2)
    ]
    assert replicates.tolist() == pytest.approx(expected, rel=1e-12)
    assert value == pytest.approx(_mean_without_copies(points.tolist(), list(range(count)), power), rel=1e-14)
    if power == 1:
        assert value == mean_pairwise_distance(points)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_without_copies_the_resamples_mean_is_exactly_the_distance_and_with_them_it_is_too_low(count):
    points = torch.randn(count, 2, generator=_generator(count), dtype=torch.float64).tolist()
    resamples = [r for r in itertools.product(range(count), repeat=count) if len(set(r)) > 1]
    value = _mean_without_copies(points, list(range(count)))
    assert statistics.fmean(_mean_without_copies(points, list(r)) for r in resamples) == pytest.approx(value, rel=1e-12)
    with_copies = [
        statistics.fmean(math.dist(points[i], points[j]) for i, j in itertools.combinations(r, 2))
        for r in itertools.product(range(count), repeat=count)
    ]
    assert statistics.fmean(with_copies) == pytest.approx(value * (1 - 1 / count), rel=1e-12)


def test_the_pairwise_interval_holds_the_truth_as_often_as_it_says():
    """Points uniform on [0, 1], whose mean distance is 1/3; pairs taken as independent would hold it far less often."""
    trials = 300
    held = sum(
        low <= 1 / 3 <= high
        for _, low, high in (
            mean_pairwise_estimate(torch.rand(40, 1, generator=_generator(t)), resamples=400, random_seed=t)
            for t in range(trials)
        )
    )
    assert scipy.stats.binomtest(held, trials, 0.95).pvalue > 0.001


def test_permutation_does_not_change_the_value_and_hardly_the_interval():
    points = torch.randn(50, 4, generator=_generator(1), dtype=torch.float64)
    shuffled = points[torch.randperm(50, generator=_generator(2))]
    one, other = mean_pairwise_estimate(points), mean_pairwise_estimate(shuffled)
    assert other.value == pytest.approx(one.value, rel=1e-14)
    assert other[1:] == pytest.approx(one[1:], abs=(one.high - one.low) / 10)


def test_too_few():
    assert all(map(math.isnan, bootstrap(torch.zeros(0, 3), lambda _: 1 / 0)))
    assert all(map(math.isnan, bootstrap_mean(torch.zeros(0))))
    one = bootstrap_mean(torch.tensor([2.0]))
    assert one.value == 2
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert all(map(math.isnan, mean_pairwise_estimate(torch.zeros(1, 3))))
    assert all(map(math.isnan, mean_pairwise_estimate(torch.zeros(0, 3))))
    two = mean_pairwise_estimate(torch.tensor([[0.0], [3.0]]))
    assert two.value == 3
    assert math.isnan(two.low)
    assert math.isnan(two.high)
    assert mean_pairwise_estimate(torch.ones(5, 2)) == (0, 0, 0)
    assert not any(map(math.isfinite, mean_pairwise_estimate(torch.tensor([[0.0], [1.0], [math.nan]]))))


def test_misuse():
    with pytest.raises(ValueError, match="resamples are ≥ 1, not 0"):
        bootstrap_mean(torch.zeros(3), resamples=0)
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="a level is between 0 and 1"):
            mean_pairwise_estimate(torch.zeros(3, 2), level=level)
    with pytest.raises(ValueError, match=r"values are \(n,\), not \(2, 2\)"):
        bootstrap_mean(torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"encodings are \(n, d\)"):
        mean_pairwise_estimate(torch.zeros(3, 2, 2))
