"""Pictures of runs: what stands where, by its pixels."""

from __future__ import annotations

import pytest
import torch
from PIL import ImageColor

from invset.report.figures import BAR, EVEN, PLOT, Panel, histograms, rows_of_images, spread_rows
from invset.run.images import from_picture

COLOURS = {"red": (1.0, 0.0, 0.0), "blue": (0.0, 0.0, 1.0)}


def _where(picture: torch.Tensor, colour: str) -> torch.Tensor:
    wanted = torch.tensor(ImageColor.getrgb(colour)).view(3, 1, 1) / 255
    return (picture == wanted).all(dim=0)


def test_rows_in_order_of_activation():
    activations = torch.tensor([5.0, 1, 4, 2, 3])
    assert spread_rows(activations) == [1, 3, 4, 2, 0]
    assert spread_rows(activations, 3) == [1, 4, 0]
    assert len(set(spread_rows(torch.rand(500, generator=torch.Generator().manual_seed(0))))) == 10


def test_a_row_a_run():
    tiles = {name: torch.tensor(value).view(3, 1, 1).expand(3, 64, 64) for name, value in COLOURS.items()}
    whole = rows_of_images(["one", "two"], [[tiles["red"]] * 3, [tiles["blue"]] * 2], [["1"] * 3, ["2"] * 2])
    picture = from_picture(whole)
    red, blue = (_where(picture, name) for name in COLOURS)
    assert (red.sum(), blue.sum()) == (3 * 128**2, 2 * 128**2)
    assert red.any(dim=1).nonzero().max() < blue.any(dim=1).nonzero().min()
    assert red.any(dim=0).nonzero().min() == blue.any(dim=0).nonzero().min()
    with pytest.raises(ValueError, match="needs a run"):
        rows_of_images([], [], [])


def test_bars_are_as_high_as_their_shares():
    """Of 4 samples 3 in the first of 20 parts and 1 in the last: three times as high, and the highest is full."""
    picture = from_picture(histograms([Panel("a", torch.tensor([0.0, 0.1, 0.2, 20.0]), 0, 20)]))
    bars = _where(picture, BAR)
    columns = bars.sum(dim=0)[bars.any(dim=0)]
    first, last = columns[0].item(), columns[-1].item()
    # The line of an even filling crosses both, and the axis is drawn over their feet.
    assert first == PLOT[1] - 1
    assert last == pytest.approx(PLOT[1] / 3, abs=2)
    across = bars.any(dim=0).nonzero()[:, 0]
    assert across[-1] - across[0] == pytest.approx(PLOT[0], abs=4)


def test_panels_share_their_scale():
    even = torch.linspace(0.05, 1.95, 20)
    alone = _where(from_picture(histograms([Panel("a", even, 0, 2)])), EVEN)
    beside = from_picture(histograms([Panel("a", even, 0, 2), Panel("b", torch.zeros(20), 0, 2)]))
    half = beside[:, :, : beside.shape[2] // 2]
    heights = [_where(one, BAR).any(dim=1).sum().item() for one in (half, beside)]
    assert heights[0] < 10 < heights[1]
    assert alone.any()
    with pytest.raises(ValueError, match="needs one"):
        histograms([])
