"""Rows of a comparison: against the measures called directly, and properties of sets with known answers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from invset.metrics.filling import uniform_distance
from invset.metrics.pairwise import distance_ratio, mean_pairwise_estimate
from invset.metrics.share import in_top, share
from invset.metrics.vendi import cosine_kernel, gaussian_kernel, pooled_bandwidth, vendi_estimate
from invset.report.comparison import compare
from invset.report.readings import Measured, chosen
from invset.report.runs import FinishedRun
from invset.report.tables import Row
from invset.settings import SampleSettings


def _measured(name: str, encodings: torch.Tensor, activations: torch.Tensor, units=("fc8:2",), ranges=((1.0, 3.0),),
              summary=None, **more) -> Measured:  # fmt: skip
    whole = activations.repeat(3, 1)  # of three times as many samples as are compared
    chains, labels = torch.ones(len(whole), dtype=torch.int64), (None,) * len(units)
    run = FinishedRun(Path(name), SampleSettings(), units, labels, ranges, whole, chains, None, summary or {})
    return Measured(name, run, range(len(encodings)), encodings, activations, **more)


def _run(name: str, n: int, random_seed: int, scale: float = 1.0, **more) -> Measured:
    generator = torch.Generator().manual_seed(random_seed)
    encodings = scale * torch.randn(n, 7, generator=generator)
    return _measured(name, encodings, 1 + 2 * torch.rand(n, 1, generator=generator), **more)


def _row(rows: list[Row], key: str) -> Row:
    return next(row for row in rows if row.key == key)


def test_every_number_is_that_of_its_measure():
    summary = {"passes": {"forward": 600, "backward": 300}, "acceptance": 0.25, "seconds": 4.0, "wanted": 180}
    one, two = _run("a", 30, 0, summary=summary), _run("b", 30, 1, 0.5)
    rows = compare([one, two], 10.0, 0.1, random_seed=3)
    bandwidth = pooled_bandwidth([one.encodings, two.encodings])
    for index, run in enumerate((one, two)):
        own = run.encodings
        assert _row(rows, "mean_pairwise_distance").cells[index] == mean_pairwise_estimate(own, random_seed=3)
        assert _row(rows, "vendi_cosine").cells[index] == vendi_estimate(cosine_kernel(own), 3)
        assert _row(rows, "vendi_gaussian").cells[index] == vendi_estimate(gaussian_kernel(own, bandwidth), 3)
        assert _row(rows, "uniform_distance").cells[index] == uniform_distance(run.activations[:, 0], 1, 3)
    ratio = distance_ratio(one.encodings, two.encodings, random_seed=3)
    assert _row(rows, "distance_ratio").cells == (None, ratio)
    assert _row(rows, "passes_per_sample").cells == (10, None)  # 900 passes, 90 samples in the folder
    assert _row(rows, "share_in_range").cells == (0.25, None)
    assert _row(rows, "seconds").cells == (4, None)
    assert _row(rows, "delivered").cells == (0.5, None)


def test_near_duplicates_by_hand():
    """Under a tenth of the distance of unrelated ones, to an earlier sample."""
    points = torch.tensor([[0.0, 1], [0.9, 1], [5, 1], [5, 1]])
    run = _measured("a", points, torch.ones(4, 1), ("u:1",), ((0.0, 2.0),))
    for distance, expected in ((10.0, 0.5), (8.0, 0.25), (math.nan, None)):
        assert _row(compare([run], distance, 0.1), "near_duplicate_share").cells == (expected,)


def test_codes_by_hand():
    run = _run("a", 2, 0, codes=torch.tensor([[3.0, -4.0], [0.0, 1.0]]))
    rows = compare([run, _run("b", 2, 1)], 1.0, 0.1)
    cells = [_row(rows, key).cells for key in ("lowest_code", "highest_code", "mean_code_norm")]
    assert cells == [(-4, None), (3, None), (3, None)]


def test_what_another_network_sees():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 12, 6, generator=generator)
    features = torch.randn(2, 12, 5, generator=generator)
    runs = [
        _run(name, 12, index, features=features[index], logits=logits[index], classes=classes)
        for index, (name, classes) in enumerate([("a", (4,)), ("b", (None,))])
    ]
    rows = compare(runs, 1.0, 0.1)
    for k in (1, 5):
        assert _row(rows, f"agreement_top_{k}").cells == (share(int(in_top(logits[0], 4, k).sum()), 12), None)
    kernel = gaussian_kernel(features[1], pooled_bandwidth(list(features)))
    assert _row(rows, "feature_vendi_gaussian").cells[1] == vendi_estimate(kernel)


def test_units_are_told_apart():
    two = _measured("b", torch.eye(2), torch.ones(2, 2), ("fc8:2", "fc8:3"), ((0.0, 2.0), (0.0, 4.0)))
    one = _measured("a", torch.eye(2), torch.ones(2, 1), ("fc8:9",), ((0.0, 2.0),))
    rows = [row for row in compare([one, two], 1.0, 0.1) if row.key.startswith("uniform")]
    assert [row.title.rsplit(", ", 1)[1] for row in rows] == ["unit 1", "fc8:3"]
    assert rows[1].cells == (None, 0.75)


def test_equal_n_only():
    with pytest.raises(ValueError, match="equal n"):
        compare([_run("a", 5, 0), _run("b", 6, 0)], 1.0, 0.1)
    with pytest.raises(ValueError, match="equal n"):
        compare([], 1.0, 0.1)


def test_which_samples():
    assert chosen(7, 7, 0) == list(range(7))
    some = chosen(100, 30, 1)
    assert some == sorted(set(some)) == chosen(100, 30, 1) != chosen(100, 30, 2)
    counts = torch.zeros(10)
    for seed in range(400):
        counts[chosen(10, 5, seed)] += 1
    assert counts.sum() == 2000
    assert ((counts - 200).abs() < 5 * math.sqrt(100)).all()  # each as often: binomial, deviation 10


def test_samples_unlike_each_other_by_hand():
    """Farther than half the distance of unrelated ones from each earlier one that was."""
    points = torch.tensor([[0.0, 1], [0.9, 1], [5, 1], [6, 1], [11, 1]])
    run = _measured("a", points, torch.ones(5, 1), ("u:1",), ((0.0, 2.0),))
    for distance, count in ((10.0, 2), (8.0, 3), (1.0, 5), (math.nan, None)):
        assert _row(compare([run], distance, 0.1), "unlike_each_other").cells == (count,)
