"""Pictures and tables of sweeps, on images of one colour each: where every cell is, and what is said under it."""

from __future__ import annotations

import csv
import io
import math
from itertools import pairwise

import pytest
import torch
from PIL import Image

from invset.errors import RunFolderError
from invset.report.overview import EMPTY, WIDE, Block, Cell, block, overview, tile
from invset.report.swept import Swept, as_csv, read_samples

SHAPE = Block(3, 2, 40)
PALE = tuple(bytes.fromhex(EMPTY[1:]))


def colour(*numbers: int) -> tuple[int, int, int]:
    """A colour of its own for each image of each cell."""
    code = sum(number * 10**place for place, number in enumerate(numbers))
    return (200, code % 250, code // 250)


def cell(row: int, column: int, count: int = 6) -> Cell:
    tiles = [Image.new("RGB", (40, 40), colour(row, column, index)) for index in range(count)]
    return Cell(tiles, f"{count} of 6\ndistance 1")


def areas(picture: Image.Image) -> dict[tuple[int, int, int], tuple[int, int, int, int]]:
    """The smallest box (left, upper, right, lower) that holds all of a colour, but for the greys of words."""
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(picture.height, picture.width, 3)
    found = {}
    for count, value in picture.getcolors(maxcolors=1 << 20):
        if len(set(value)) > 1:
            down, across = torch.nonzero((pixels == torch.tensor(value, dtype=torch.uint8)).all(2), as_tuple=True)
            found[value] = int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1
            assert count == (across.max() - across.min() + 1) * (down.max() - down.min() + 1), "no hole in it"
    return found


def test_every_image_is_in_its_place():
    cells = {(row, column): cell(row, column) for row in range(3) for column in range(4)}
    picture = overview("title", ["[1, 2]"] * 4, ["one", "two", "three"], cells, SHAPE)
    boxes = areas(picture)
    assert len(boxes) == 3 * 4 * 6
    assert all((right - left, lower - upper) == (40, 40) for left, upper, right, lower in boxes.values())
    for row in range(3):
        for column in range(4):
            left, upper = boxes[colour(row, column, 0)][:2]
            for index in range(6):
                assert boxes[colour(row, column, index)][:2] == (left + index % 3 * 42, upper + index // 3 * 42)
            assert left == boxes[colour(0, column, 0)][0]
            assert upper == boxes[colour(row, 0, 0)][1]
    lefts = [boxes[colour(0, column, 0)][0] for column in range(4)]
    assert {right - left for left, right in pairwise(lefts)} == {3 * 42 - 2 + 12}
    uppers = [boxes[colour(row, 0, 0)][1] for row in range(3)]
    assert len({lower - upper for upper, lower in pairwise(uppers)}) == 1


def test_the_titles_of_columns_come_again_while_rows_go_on():
    cells = {(row, 0): cell(row, 0, 1) for row in range(12)}
    boxes = areas(overview("", ["[1, 2]"], ["x"] * 12, cells, SHAPE))
    uppers = [boxes[colour(row, 0, 0)][1] for row in range(12)]
    steps = [lower - upper for upper, lower in pairwise(uppers)]
    assert [row + 1 for row, step in enumerate(steps) if step > min(steps)] == [5, 10]


def test_a_cell_without_samples_is_grey_and_an_absent_one_blank():
    cells = {(0, 0): Cell([], "not reached: closest 3"), (0, 1): cell(0, 1), (1, 1): cell(1, 1, 2)}
    boxes = areas(overview("", ["a", "b"], ["one", "two"], cells, SHAPE))
    first = boxes[colour(0, 1, 0)]
    assert boxes[PALE] == (24, first[1], 24 + 3 * 42 - 2, first[1] + 2 * 42 - 2)
    assert set(boxes) == {
        PALE,
        *(colour(0, 1, index) for index in range(6)),
        *(colour(1, 1, index) for index in (0, 1)),
    }
    assert boxes[colour(1, 1, 0)][0] == first[0]


def test_words_do_not_run_into_each_other():
    """Captions are cut at five lines, and lie between their block and what is below."""
    long = " ".join(["word"] * 200)
    cells = {(row, 0): Cell(cell(row, 0).tiles, long) for row in range(2)}
    cells[0, 1] = Cell(cell(0, 1).tiles, "x" * 60)
    picture = overview("a title ☃ " * 30, ["ünïcode", "b"], ["one " * 90, "two"], cells, SHAPE)
    boxes = areas(picture)
    lower = max(box[3] for box in boxes.values())
    assert picture.height - lower == 4 + 5 * 18 + 24
    assert picture.getpixel((picture.width - 1, 100)) == (255, 255, 255)
    gap = picture.crop(
        (24, boxes[colour(0, 0, 3)][3] + 4 + 5 * 18, 24 + 124, boxes[colour(0, 0, 3)][3] + 4 + 5 * 18 + 20)
    )
    assert set(gap.tobytes()) == {255}


def test_pictures_stay_within_a_screen_as_long_as_they_can():
    for columns in range(2, 9):
        shape = block(columns)
        cells = {(0, column): Cell([Image.new("RGB", (shape.side,) * 2)] * shape.most, "") for column in range(columns)}
        width = overview("", ["[10, 20]"] * columns, ["x"], cells, shape).width
        assert width <= WIDE + 8 * 14
        assert shape.most == 6
    assert block(1) == Block(8, 1, 96)
    assert block(30) == Block(2, 2, 64)


@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [((64, 64), 84, (64, 64)), ((8, 8), 122, (120, 120)), ((227, 227), 84, (84, 84)), ((50, 200), 64, (16, 64))],
)
def test_tiles_are_enlarged_by_integers_or_reduced(size, side, wanted):
    image = torch.rand(3, size[1], size[0], generator=torch.Generator().manual_seed(0))
    picture = tile(image, side)
    assert picture.size == wanted
    if wanted[0] % size[0] == 0:
        factor = wanted[0] // size[0]
        levels = (image * 255).round().byte().permute(1, 2, 0)
        large = levels.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        assert picture.tobytes() == bytes(large.flatten().tolist())


@pytest.mark.parametrize(
    ("rows", "columns", "cells"), [([], ["a"], {}), (["a"], [], {}), (["a"], ["a"], {(0, 0): cell(0, 0, 7)})]
)
def test_misuse(rows, columns, cells):
    with pytest.raises(ValueError, match="an overview has rows and columns"):
        overview("", columns, rows, cells, SHAPE)


def test_samples_are_spread_in_order_of_activation(written):
    run = written(n=11)
    activations = [float((7 * index) % 11) for index in range(11)]
    lines = ["sample,chain,step,fc8:2 saved,in_range"]
    for index, activation in enumerate(activations):
        Image.new("RGB", (8, 8), (10 * index, 0, 0)).save(run / "images" / f"{index + 1:04d}.png")
        lines.append(f"{index + 1},1,1,{activation},1")
    (run / "activations.csv").write_text("\n".join(lines) + "\n")
    summary, tiles = read_samples(run, [(0.0, 11.0)], Block(3, 2, 8))
    assert summary["samples"] == 11
    shown = [activations[one.getpixel((0, 0))[0] // 10] for one in tiles]
    assert shown == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples(written, count):
    _, tiles = read_samples(written(n=count), [(0.0, 2.0)], SHAPE)
    assert [one.size for one in tiles] == [(42, 28)] * count


@pytest.mark.parametrize("samples", ["5", None, -1, True, 4])
def test_a_damaged_summary(written, samples):
    with pytest.raises(RunFolderError, match="summary"):
        read_samples(written(n=2, samples=samples), [(0.0, 2.0)], SHAPE)


def swept(status: str, error: str | None = None, **summary: object) -> Swept:
    return Swept("0", "fc8:2", "[5, 6]", {}, status, summary, (), error)


@pytest.mark.parametrize(
    ("run", "caption"),
    [
        (swept("complete", samples=30, wanted=30, mean_pairwise_distance=12.3456), "30 of 30 samples\ndistance 12.35"),
        (swept("complete", samples=1, wanted=1, mean_pairwise_distance="nan"), "1 of 1 samples"),
        (swept("complete", samples=1, wanted=1, mean_pairwise_distance=None), "1 of 1 samples"),
        (
            swept("incomplete", samples=3, wanted=30, mean_pairwise_distance=1.5),
            "3 of 30 samples\ndistance 1.5\ntoo seldom reached",
        ),
        (swept("incomplete", samples=0, wanted=3, closest={"activations": [4.5]}), "not reached: closest 4.5"),
        (
            swept("unreachable", samples=0, wanted=30, closest={"activations": [48.3246, -1]}),
            "not reached: closest 48.32, -1",
        ),
        (swept("unreachable", samples=0, wanted=30), "not reached"),
        (swept("failed", "no memory"), "failed: no memory"),
        (swept("failed", "x" * 200), f"failed: {'x' * 120} …"),
        (swept("failed", "why", samples=2, wanted=3), "2 of 3 samples\nfailed: why"),
        (swept("damaged"), "damaged"),
        (
            swept("unreachable", samples=0, closest={"activations": [10**400, 2.5, "x", True]}),
            "not reached: closest 2.5",
        ),
        (swept("complete", samples=2, wanted=3, mean_pairwise_distance="x", closest=3), "2 of 3 samples"),
    ],
)
def test_captions(run, caption):
    assert run.cell().caption == caption


def test_the_table():
    full = Swept(
        "1", "fc8:2 goldfish", "[5, 6]", {"neuron": "fc8:goldfish", "seed": "3"}, "complete",
        {
            "samples": 2, "wanted": 2, "mean_pairwise_distance": 0.1, "near_duplicates": 0, "gradient_steps": 7,
            "passes": {"forward": 30, "backward": 12, "forward_of_saved_images": 7}, "seconds": 2.5,
            "closest": {"activations": [5.25, 6]},
        },
    )  # fmt: skip
    failed = Swept("2", 'a "b", c', "[6, 7]", {"neuron": "x", "method": "ppgn"}, "failed", error="no\nmemory")
    bad = Swept("3", "", "", {}, "complete", {"passes": {"forward": "3"}, "seconds": "x", "near_duplicates": math.nan})
    lines = list(csv.DictReader(io.StringIO(as_csv([full, failed, bad]))))
    assert lines[0] == {
        "run": "1", "units": "fc8:2 goldfish", "ranges": "[5, 6]", "seed=": "3", "method=": "", "status": "complete",
        "samples": "2", "wanted": "2", "mean_pairwise_distance": "0.1", "near_duplicates": "0", "gradient_steps": "7",
        "passes": "42", "seconds": "2.5", "closest": "5.25 6", "error": "",
    }  # fmt: skip
    assert (lines[1]["units"], lines[1]["method="], lines[1]["error"]) == ('a "b", c', "ppgn", "no\nmemory")
    assert lines[2]["passes"] == lines[2]["seconds"] == ""
