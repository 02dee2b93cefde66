"""The picture of coverage, by its pixels."""

from __future__ import annotations

import pytest
import torch
from PIL import ImageColor

from invset.metrics.saturation import coverage
from invset.report.coverage import BAND, coverage_plot
from invset.report.figures import BAR, EVEN, PLOT
from invset.run.images import from_picture


def _where(picture: torch.Tensor, colour: str) -> torch.Tensor:
    wanted = torch.tensor(ImageColor.getrgb(colour)).view(3, 1, 1) / 255
    return (picture == wanted).all(dim=0)


def plotted(new: list[bool], gain: float = 0.25) -> torch.Tensor:
    curve = [coverage(new[:count]) for count in range(1, len(new) + 1)]
    return from_picture(coverage_plot("goldfish", curve, new, gain))


def test_a_constant_coverage_is_a_line_at_its_height():
    """Half of the samples are new, in turn: 0.5 is half way down, and the red line of gain = 0.25 a quarter."""
    picture = plotted([True, False] * 150)
    upper = picture[:, : picture.shape[1] // 2]
    red = _where(upper, EVEN).sum(dim=1).argmax()
    middle = _where(upper, BAR)[:, -PLOT[0] // 2 :].any(dim=1).nonzero().float().mean()
    assert middle - red == pytest.approx(PLOT[1] / 4, abs=2)
    band = _where(upper, BAND)[:, picture.shape[2] - 80].nonzero()
    assert band.min() < middle < band.max()


def test_the_number_of_new_ones_climbs_evenly():
    picture = plotted([True] * 300)
    lower = _where(picture[:, picture.shape[1] // 2 :], BAR).nonzero()
    left, right = lower[lower[:, 1].argmin()], lower[lower[:, 1].argmax()]
    assert left[0] - right[0] == pytest.approx(PLOT[1], abs=4)
    assert right[1] - left[1] == pytest.approx(PLOT[0], abs=4)


def test_of_one_sample_and_of_none():
    assert plotted([True]).shape == plotted([True] * 300).shape
    with pytest.raises(ValueError, match="needs samples"):
        coverage_plot("", [], [], 0.05)
    with pytest.raises(ValueError, match="needs samples"):
        coverage_plot("", [coverage([True])], [True, True], 0.05)
