"""Plates: names at the left, images where they belong, in the order given."""

from __future__ import annotations

import pytest
import torch

from invset.report.plates import Group, Strip, plate
from invset.run.images import from_picture

COLOURS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])


def _images(rows: list[int], side: int = 64) -> list[torch.Tensor]:
    return [COLOURS[row].view(3, 1, 1).expand(3, side, side) for row in rows]


def _boxes(picture: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """Where each colour stands: top, left, height, width."""
    found = []
    for colour in COLOURS:
        here = (picture == colour.view(3, 1, 1)).all(dim=0)
        if not here.any():
            continue
        rows, columns = here.any(dim=1).nonzero().flatten(), here.any(dim=0).nonzero().flatten()
        found.append((int(rows[0]), int(columns[0]), len(rows), len(columns)))
    return found


def test_rows_and_groups_stand_under_each_other_and_images_beside_each_other():
    groups = [
        Group("one", [Strip("low", _images([0, 1]), ["1", "2"]), Strip("high", _images([2, 3]), ["3", "4"])]),
        Group("two", [Strip("low", _images([4, 5]), ["5", "6"])]),
    ]
    boxes = _boxes(from_picture(plate("Title", groups, 10)))
    assert {box[2:] for box in boxes} == {(128, 128)}
    tops, lefts = [box[0] for box in boxes], [box[1] for box in boxes]
    assert tops[0] == tops[1] < tops[2] == tops[3] < tops[4] == tops[5]
    assert lefts[0::2] == [lefts[0]] * 3
    assert lefts[1::2] == [lefts[1]] * 3
    assert lefts[0] > 120  # names have their room
    assert lefts[1] - lefts[0] == 128 + 12
    assert tops[2] - tops[0] < tops[4] - tops[2]  # a group's heading takes room


def test_many_columns_make_small_images_in_as_many_rows_as_needed():
    (box,) = _boxes(from_picture(plate("", [Group("", [Strip("", _images([0] * 45), [""] * 45)])], 20)))
    assert (box[2], box[3]) == (3 * 64, 20 * 64)  # without the gaps between them


def test_a_run_without_samples_says_so_and_takes_a_line():
    def drawn(empty: str) -> torch.Tensor:
        return from_picture(plate("T", [Group("", [Strip("name", [], [], empty), Strip("b", _images([0]), [""])])]))

    silent, told = drawn(""), drawn("no samples in this range")
    assert silent.shape == told.shape
    ((top, *_),) = _boxes(told)
    assert (silent != told).any(dim=0).nonzero()[:, 0].max() < top


def test_a_caption_too_many_and_no_columns():
    with pytest.raises(ValueError, match="1 images and 2 captions"):
        plate("", [Group("", [Strip("", _images([0]), ["a", "b"])])])
    with pytest.raises(ValueError, match="1 column or more"):
        plate("", [], 0)
