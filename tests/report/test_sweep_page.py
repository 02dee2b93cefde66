"""Pictures and tables of sweeps, on images of one colour each: where every cell is, and what is said under it."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from invset.report.sweep_page import (
    EMPTY,
    WIDE,
    Block,
    Swept,
    block,
    caption_of,
    draw_overview,
    overview_csv,
    read_samples,
)  # fmt: skip

SHAPE = Block(3, 2, 40)


def _swept(row: int, column: int, count: int = 6) -> Swept:
    tiles = [Image.new("RGB", (40, 40), (200, 10 * row + column, index)) for index in range(count)]
    return Swept("0", "fc8:2", "[1, 2]", {}, "complete", {"samples": count, "wanted": 6}, tiles)


def _corner(picture: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Left and upper end of what has a colour."""
    down, across = (np.asarray(picture) == colour).all(axis=2).nonzero()
    return int(across.min()), int(down.min())


def test_every_run_is_in_its_place_and_one_without_samples_is_grey():
    runs = {(row, column): _swept(row, column) for row in range(2) for column in range(3)}
    runs[1, 1] = Swept("0", "fc8:2", "[1, 2]", {}, "failed", error="why")
    del runs[1, 2]
    picture = draw_overview("title", ["[1, 2]"] * 3, ["one", "two"], runs, SHAPE)
    corners = {at: _corner(picture, (200, 10 * at[0] + at[1], 0)) for at in runs if at != (1, 1)}
    grey = _corner(picture, tuple(bytes.fromhex(EMPTY[1:])))
    assert grey == (corners[0, 1][0], corners[1, 0][1])
    for row, column in corners:
        assert corners[row, column] == (corners[0, column][0], corners[row, 0][1])
        left, upper = corners[row, column]
        assert picture.getpixel((left + 2 * 42, upper + 42)) == (200, 10 * row + column, 5)
    assert corners[0, 0][0] < corners[0, 1][0] < corners[0, 2][0]
    assert corners[0, 0][1] < corners[1, 0][1]


def test_pictures_stay_within_a_screen_as_long_as_they_can():
    for columns in range(2, 9):
        shape = block(columns)
        tiles = [Image.new("RGB", (shape.side,) * 2)] * 6
        runs = {(0, column): Swept("0", "u", "r", {}, "complete", tiles=tiles) for column in range(columns)}
        assert draw_overview("", ["[10, 20]"] * columns, ["x"], runs, shape).width <= WIDE + 8 * 14
    assert block(1) == Block(8, 1, 96)
    assert block(30) == Block(2, 2, 64)


def test_samples_are_spread_in_order_of_activation(written):
    run = written(n=11)
    activations = [float((7 * index) % 11) for index in range(11)]
    lines = ["sample,chain,step,fc8:2 saved,in_range"]
    for index, activation in enumerate(activations):
        Image.new("RGB", (8, 8), (10 * index, 0, 0)).save(run / "images" / f"{index + 1:04d}.png")
        lines.append(f"{index + 1},1,1,{activation},1")
    (run / "activations.csv").write_text("\n".join(lines) + "\n")
    summary, tiles = read_samples(run, Block(3, 2, 8))
    assert summary["samples"] == 11
    shown = [activations[one.getpixel((0, 0))[0] // 10] for one in tiles]
    assert shown == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples(written, count):
    _, tiles = read_samples(written(n=count), SHAPE)
    assert [one.size for one in tiles] == [(42, 28)] * count


def swept(status: str, error: str | None = None, **summary: object) -> Swept:
    return Swept("0", "fc8:2", "[5, 6]", {}, status, summary, (), error)


@pytest.mark.parametrize(
    ("run", "caption"),
    [
        (swept("complete", samples=30, wanted=30, mean_pairwise_distance=12.3456), "30 of 30 samples\ndistance 12.35"),
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
    ],
)
def test_captions(run, caption):
    assert caption_of(run) == caption


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
    lines = list(csv.DictReader(io.StringIO(overview_csv([full, failed]))))
    assert lines[0] == {
        "run": "1", "units": "fc8:2 goldfish", "ranges": "[5, 6]", "seed=": "3", "method=": "", "status": "complete",
        "samples": "2", "wanted": "2", "mean_pairwise_distance": "0.1", "near_duplicates": "0", "gradient_steps": "7",
        "passes": "42", "seconds": "2.5", "closest": "5.25 6", "error": "",
    }  # fmt: skip
    assert (lines[1]["units"], lines[1]["method="], lines[1]["error"]) == ('a "b", c', "ppgn", "no\nmemory")
    assert lines[1]["passes"] == lines[1]["seconds"] == ""
