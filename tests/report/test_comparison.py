"""Rows of a comparison: against the measures called directly, and properties of sets with known answers."""

from __future__ import annotations

import csv
import io
import math
from itertools import combinations

import pytest
import torch

from invset.metrics.agreement import agreement
from invset.metrics.filling import uniform_distance
from invset.metrics.jackknife import jackknife
from invset.metrics.pairwise_interval import mean_pairwise_estimate
from invset.metrics.ratio import distance_ratio
from invset.metrics.vendi import cosine_kernel, cosine_vendi, gaussian_kernel, gaussian_vendi, half_median_bandwidth
from invset.report.comparison import compared
from invset.report.kernels import pooled_bandwidth
from invset.report.measured import Measured, Row, chosen
from invset.report.tables import as_csv, as_markdown, shown


def _run(name: str, n: int, random_seed: int, scale: float = 1.0, **more) -> Measured:
    generator = torch.Generator().manual_seed(random_seed)
    encodings = scale * torch.randn(n, 7, generator=generator)
    activations = 1 + 2 * torch.rand(n, 1, generator=generator)
    return Measured(name, "paper", 3 * n, encodings, activations, ("fc8:2",), ((1.0, 3.0),), **more)


def _row(rows: list[Row], key: str) -> Row:
    return next(row for row in rows if row.key == key)


def test_every_number_is_that_of_its_measure():
    one, two = _run("a", 30, 0, passes=900, in_range=0.25, seconds=4.0), _run("b", 30, 1, 0.5)
    rows = compared([one, two], 10.0, 0.1, random_seed=3)
    bandwidth = half_median_bandwidth(torch.cat([one.encodings, two.encodings]))
    for index, run in enumerate((one, two)):
        own = run.encodings
        assert _row(rows, "mean_pairwise_distance").cells[index] == mean_pairwise_estimate(own, random_seed=3)
        expected = jackknife(own, cosine_vendi, random_seed=3)
        assert _row(rows, "vendi_cosine").cells[index] == pytest.approx(expected, rel=1e-9)
        expected = jackknife(own, lambda some: gaussian_vendi(some, bandwidth), random_seed=3)
        assert _row(rows, "vendi_gaussian").cells[index] == pytest.approx(expected, rel=1e-9)
        assert _row(rows, "uniform_distance").cells[index] == uniform_distance(run.activations[:, 0], 1, 3)
    ratio = distance_ratio(one.encodings, two.encodings, random_seed=3)
    assert _row(rows, "distance_ratio").cells == (None, ratio)
    assert _row(rows, "passes_per_sample").cells == (10, None)  # 900 passes, 90 samples in the folder
    assert _row(rows, "share_in_range").cells == (0.25, None)
    assert _row(rows, "seconds").cells == (4, None)


def test_near_duplicates_by_hand():
    """Under a tenth of the distance of unrelated ones, to an earlier sample."""
    points = torch.tensor([[0.0, 1], [0.9, 1], [5, 1], [5, 1]])
    run = Measured("a", "paper", 4, points, torch.ones(4, 1), ("u:1",), ((0.0, 2.0),))
    for distance, share in ((10.0, 0.5), (8.0, 0.25), (math.nan, None)):
        assert _row(compared([run], distance, 0.1), "near_duplicate_share").cells == (share,)


def test_codes_by_hand():
    run = _run("a", 2, 0, codes=torch.tensor([[3.0, -4.0], [0.0, 1.0]]))
    rows = compared([run, _run("b", 2, 1)], 1.0, 0.1)
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
    rows = compared(runs, 1.0, 0.1)
    assert _row(rows, "agreement_top_1").cells == (agreement(logits[0], 4, 1), None)
    assert _row(rows, "agreement_top_5").cells == (agreement(logits[0], 4, 5), None)
    bandwidth = half_median_bandwidth(features.flatten(0, 1))
    expected = gaussian_vendi(features[1], bandwidth)
    assert _row(rows, "feature_vendi_gaussian").cells[1][0] == pytest.approx(expected, rel=1e-9)


def test_kernels_of_copies_and_of_width_zero():
    points = torch.tensor([[1.0, 0], [1, 0], [0, 2]])
    same = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.float64)
    assert torch.equal(cosine_kernel(points), same)
    assert torch.equal(gaussian_kernel(points, 0.0), same)
    whole = gaussian_kernel(points, 2.0)
    for i, j in combinations(range(3), 2):
        expected = math.exp(-(torch.dist(points[i], points[j]).item() ** 2) / 8)
        assert whole[i, j].item() == pytest.approx(expected, rel=1e-6)
        assert whole[i, j] == whole[j, i]
    assert gaussian_kernel(torch.tensor([[math.nan], [1.0]]), 1.0)[1, 0].isnan()


def test_bandwidth_of_sets_too_large_to_pool_is_that_of_a_part():
    sets = [torch.randn(1500, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    assert pooled_bandwidth(sets) == pytest.approx(half_median_bandwidth(torch.cat(sets)), rel=0.03)


def test_units_are_told_apart():
    two = Measured("b", "paper", 2, torch.eye(2), torch.ones(2, 2), ("fc8:2", "fc8:3"), ((0.0, 2.0), (0.0, 4.0)))
    one = Measured("a", "paper", 2, torch.eye(2), torch.ones(2, 1), ("fc8:9",), ((0.0, 2.0),))
    rows = [row for row in compared([one, two], 1.0, 0.1) if row.key.startswith("uniform")]
    assert [row.title.rsplit(", ", 1)[1] for row in rows] == ["unit 1", "fc8:3"]
    assert rows[1].cells == (None, 0.75)


def test_equal_n_only():
    with pytest.raises(ValueError, match="equal n"):
        compared([_run("a", 5, 0), _run("b", 6, 0)], 1.0, 0.1)
    with pytest.raises(ValueError, match="equal n"):
        compared([], 1.0, 0.1)


def test_which_samples():
    assert chosen(7, 7, 0) == list(range(7))
    some = chosen(100, 30, 1)
    assert some == sorted(set(some)) == chosen(100, 30, 1) != chosen(100, 30, 2)
    counts = torch.zeros(10)
    for seed in range(400):
        counts[chosen(10, 5, seed)] += 1
    assert counts.sum() == 2000
    assert ((counts - 200).abs() < 5 * math.sqrt(100)).all()  # each as often: binomial, deviation 10
    with pytest.raises(ValueError, match="2 to 5"):
        chosen(5, 6, 0)


def test_samples_unlike_each_other_by_hand():
    """Farther than half the distance of unrelated ones from each earlier one that was."""
    points = torch.tensor([[0.0, 1], [0.9, 1], [5, 1], [6, 1], [11, 1]])
    run = Measured("a", "paper", 5, points, torch.ones(5, 1), ("u:1",), ((0.0, 2.0),))
    for distance, count in ((10.0, 2), (8.0, 3), (1.0, 5), (math.nan, None)):
        assert _row(compared([run], distance, 0.1), "unlike_each_other").cells == (count,)


def test_texts():
    rows = compared([_run("a|b", 5, 0), _run("c", 5, 1)], math.nan, 0.1)
    lines = list(csv.DictReader(io.StringIO(as_csv(["a|b", "c"], rows))))
    assert [line["run"] for line in lines] == ["a|b", "c"]
    distance = _row(rows, "mean_pairwise_distance").cells[0]
    keys = ("mean_pairwise_distance", "mean_pairwise_distance_low", "mean_pairwise_distance_high")
    assert tuple(float(lines[0][key]) for key in keys) == distance  # to the last bit
    assert (lines[0]["n"], lines[0]["distance_ratio"], lines[0]["distance_ratio_low"]) == ("5", "", "")
    assert lines[0]["near_duplicate_share"] == ""
    markdown = as_markdown(["a|b", "c"], rows, ["a note"]).splitlines()
    assert markdown[0] == "|  | a\\|b | c |"
    assert markdown[-2:] == ["", "- a note"]
    assert all(line.replace("\\|", "").count("|") == 4 for line in markdown[:-2])


def test_cells():
    assert shown(None) == "-"
    assert shown(12345.6) == "12346"
    assert shown(0.5) == "0.5"
    assert shown(distance_ratio(torch.eye(2), torch.eye(2))) == "1"  # two samples: no interval
    assert shown(mean_pairwise_estimate(torch.eye(3))) == "1.414 [1.41, 1.41]"
