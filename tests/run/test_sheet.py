"""Sheets: images stand where they should, of the size they should have, and nothing is cut off."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from PIL import Image, ImageChops

from invset.run.images import from_picture, load_png
from invset.run.sheet import (
    GAP,
    LABEL,
    MARGIN,
    NARROW,
    SPACE,
    Cell,
    Strip,
    font_of,
    mosaic,
    save_grid,
    sheet,
    tile,
    wrapped,
)

RED = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)


def _boxes(picture: Image.Image) -> dict[tuple[int, int, int], tuple[int, int, int, int]]:
    """The smallest box (left, upper, right, lower) that holds all of a colour, but for the greys of words."""
    found = {}
    for _, colour in picture.getcolors(maxcolors=1 << 20):
        if len(set(colour)) > 1:
            plain = Image.new("RGB", picture.size, colour)
            mask = ImageChops.difference(picture, plain).convert("L").point(lambda level: 255 * (level == 0))
            found[colour] = mask.getbbox()
    return found


def _plain(number: int, side: int = 128) -> Image.Image:
    return Image.new("RGB", (side, side), (200, number, 0))


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(32, 32, (128, 128)), (64, 32, (128, 64)), (100, 100, (100, 100)), (227, 227, (128, 128)), (8, 8, (128, 128))],
)
def test_tiles_are_enlarged_by_integers_or_reduced(height, width, shown):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    picture = from_picture(tile(image))
    assert tuple(picture.shape[1:]) == shown
    if shown[0] % height == 0:
        factor = shown[0] // height
        levels = (image * 255).round() / 255
        assert torch.equal(picture, levels.repeat_interleave(factor, 1).repeat_interleave(factor, 2))


def test_rows_columns_headings_and_labels():
    rows = [
        Strip([Cell(_plain(index), "1") for index in range(7)], "one", "low"),
        Strip([Cell(_plain(10 + index), "2") for index in range(3)], "", "high"),
    ]
    boxes = _boxes(sheet("Title", rows, columns=5))
    first = MARGIN + LABEL + GAP
    for column in range(5):
        left = first + column * (128 + GAP)
        stack = [boxes[200, line + column, 0] for line in (0, 5, 10) if (200, line + column, 0) in boxes]
        assert {box[0] for box in stack} == {left}
        assert all(below[1] > above[3] + 12 for above, below in pairwise(stack))
    assert {(right - left, lower - upper) for left, upper, right, lower in boxes.values()} == {(128, 128)}
    assert len(boxes) == 10


def test_small_pictures_leave_room_for_their_captions_and_stand_on_one_line():
    boxes = _boxes(sheet("", [Strip([Cell(_plain(0, 40), "44.1"), Cell(_plain(1, 20), "44.2"), Cell(None, "none")])]))
    assert boxes[200, 1, 0][0] - boxes[200, 0, 0][0] == NARROW + GAP
    assert boxes[200, 1, 0][3] == boxes[200, 0, 0][3]


def test_a_mosaic():
    boxes = _boxes(mosaic([_plain(index, 40) for index in range(5)], 3))
    for index in range(5):
        left, upper = index % 3 * (40 + SPACE), index // 3 * (40 + SPACE)
        assert boxes[200, index, 0] == (left, upper, left + 40, upper + 40)


@pytest.mark.parametrize(
    "text", ["#12  54.1", "#12\n-1054.12, 153.25", "a b c " * 20, "unit:" + "w" * 400, "\x00\udcff日"]
)
def test_nothing_is_cut_off_and_nothing_runs_into_its_neighbour(text):
    white = Image.new("RGB", (128, 128), "white")
    both = sheet(text * 3, [Strip([Cell(white, text)] * 2, text, text)])
    ink = from_picture(both).min(dim=0).values < 1
    assert ink.any()
    assert not ink[:MARGIN].any()
    assert not ink[-MARGIN:].any()
    assert not ink[:, :MARGIN].any()
    assert not ink[:, -MARGIN:].any()
    one = sheet(text * 3, [Strip([Cell(white, text), Cell(white, "")], text, text)])
    changed = ImageChops.difference(both, one).getbbox()
    assert changed is not None
    assert changed[0] >= MARGIN + LABEL + GAP + 128 + GAP


def test_text_is_broken_at_spaces_and_kept():
    font = font_of(12)
    assert wrapped("toilet tissue\nx", 300, font) == ["toilet tissue", "x"]
    text = "one two three four five " + "w" * 50
    lines = wrapped(text, 60, font)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 60 for line in lines)


def test_letters_of_the_paper_are_in_the_font():
    font = font_of(14)
    absent = bytes(font.getmask("\uffff"))
    assert all(bytes(font.getmask(letter)) != absent for letter in "λμ≤≥∈₁–×")


def test_a_grid_is_saved(tmp_path):
    save_grid(tmp_path / "g.png", [RED.expand(3, 64, 64)], ["#1"], "T")
    assert (load_png(tmp_path / "g.png") == RED).all(dim=0).sum() == 128 * 128
    save_grid(tmp_path / "g.png", [], [], "No sample")
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        save_grid(tmp_path / "g.png", [RED], [], "T")
