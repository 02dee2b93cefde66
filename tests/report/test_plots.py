"""Plots: each kind is drawn from ordinary and from awkward numbers, of the size it should have, without a warning."""

from __future__ import annotations

import math

import pytest
import torch

from invset.metrics.estimate import Estimate
from invset.report.plots import Line, Panel, coverage_curve, forest, histograms

NAMES = ["goldfish", "$x_1$ a|b", "日本 \x00\udcff", "w" * 500, ""]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 3, 4])
def test_histograms(name, count):
    activations = torch.tensor([0.0, 0.1, 0.2, 20.0, 21.0])
    picture = histograms([Panel(name, activations[: 5 - index], 0, 20) for index in range(count)])
    assert picture.size == (480 * min(count, 3), 190 * -(-count // 3))


def test_a_histogram_of_nothing_in_its_range():
    assert histograms([Panel("a", torch.zeros(0), 0, 1), Panel("b", torch.tensor([5.0]), 0, 1)]).width == 960


@pytest.mark.parametrize("name", NAMES)
def test_forests(name):
    nan, inf = math.nan, math.inf
    ratios = [(4.0, 3.0, 5.0), (1.0, nan, nan), (1.2, 0.9, 1e30), (0.5, 1e-9, 0.8), (2.0, 0.5, inf), (nan, nan, nan)]
    lines = [Line(name, Estimate(*ratio), name, 1.2) for ratio in ratios] + [Line(name, None, "no ratio")]
    summary = Line("mean", Estimate(1.5, 1.2, 1.9))
    assert forest(name, lines, name, summary).height == 340
    assert forest(name, lines[-1:], name).width >= 450


def test_coverage():
    for count in (1, 40, 500):
        curve = [Estimate(index / count, 0.0, 1.0) for index in range(count)]
        assert coverage_curve("fc8:2 in [40, 50]", curve, [True] * count, 0.05).size == (600, 460)
