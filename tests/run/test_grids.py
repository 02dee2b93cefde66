"""Grids: images stand where they should, of the size they should have, and nothing is cut off."""

from __future__ import annotations

import pytest
import torch
from PIL import ImageChops, ImageFont

from invset.run.grids import GAP, MARGIN, grid, save_grid
from invset.run.images import from_picture, load_png

RED = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)


def _red(picture: torch.Tensor) -> torch.Tensor:
    return (picture == RED).all(dim=0)


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [
        (32, 32, (128, 128)),
        (64, 64, (128, 128)),
        (64, 32, (128, 64)),
        (100, 100, (100, 100)),
        (227, 227, (128, 128)),
    ],
)
def test_sizes(height, width, shown):
    picture = from_picture(grid([RED.expand(3, height, width)], ["#1"], "Title"))
    rows, columns = _red(picture).any(1).nonzero(), _red(picture).any(0).nonzero()
    assert (len(rows), len(columns)) == shown
    assert _red(picture).sum() == shown[0] * shown[1]


def test_enlarged_pixels_are_exact_squares(picture):
    shown = from_picture(grid([picture], ["#1"], "T"))
    factor = 18  # 128 / 7
    top = shown.shape[1] - MARGIN - 18 - 4 - 5 * factor
    seen = shown[:, top : top + 5 * factor, MARGIN : MARGIN + 7 * factor]
    assert torch.equal(seen, picture.repeat_interleave(factor, 1).repeat_interleave(factor, 2))


def test_rows_and_columns():
    shades = [torch.full((3, 64, 64), index / 255) for index in range(23)]
    shown = from_picture(grid(shades, [f"#{index}" for index in range(23)], "T", columns=5))
    assert shown.shape[2] == 2 * MARGIN + 5 * 128 + 4 * GAP
    first = (shown[0, :, MARGIN] == 0).nonzero()[0].item()
    second = (shown[0, :, MARGIN] == 5 / 255).nonzero()[0].item()
    for index, shade in enumerate(shades):
        row, column = divmod(index, 5)
        top, left = first + row * (second - first), MARGIN + column * (128 + GAP)
        assert torch.equal(shown[:, top : top + 128, left : left + 128], shade[:, :1, :1].expand(3, 128, 128))


@pytest.mark.parametrize("caption", ["#12  54.1", "#12\n-1054.12, 153.25", "a b c " * 20, "unit:" + "w" * 40])
def test_nothing_is_cut_off(caption):
    white = [torch.ones(3, 64, 64)] * 3
    shown = from_picture(grid(white, [caption] * 3, "word " * 60 + "x" * 90))
    ink = (shown < 1).any(dim=0)
    assert ink.any()
    border = ink.clone()
    border[MARGIN - 2 : 2 - MARGIN, MARGIN - 2 : 2 - MARGIN] = False
    assert not border.any()


def test_captions_keep_to_their_column():
    white = [torch.ones(3, 64, 64)] * 2
    both = grid(white, ["#12\n-1054.12, 153.25 " * 2] * 2, "")
    one = grid(white, ["#12\n-1054.12, 153.25 " * 2, ""], "")
    changed = ImageChops.difference(both, one).getbbox()
    assert changed is not None
    assert changed[0] >= MARGIN + 128 + GAP - 1


def test_letters_that_the_font_lacks_are_written_in_ascii():
    font = ImageFont.load_default(14)
    assert bytes(font.getmask("λ")) == bytes(font.getmask("\uffff"))  # if this fails, the font has learnt Greek
    assert grid([], [], "z₁ ≤ f – λ 中").tobytes() == grid([], [], "z1 <= f - lambda ?").tobytes()


def test_no_images_and_one(tmp_path):
    assert grid([], [], "No sample").size == grid([], [], "").size
    save_grid(tmp_path / "g.png", [RED.expand(3, 64, 64)], ["#1"], "T")
    assert _red(load_png(tmp_path / "g.png")).sum() == 128 * 128


def test_misuse():
    with pytest.raises(ValueError, match="1 images and 0 captions"):
        grid([RED], [], "T")
    with pytest.raises(ValueError, match="1 column or more"):
        grid([], [], "T", columns=0)
