"""until=plateau, with a method whose inverse set is of known size: where a run ends, killed and gone on with or not."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from invset.metrics.saturation import ALIKE, LEAST, WINDOW, coverage
from invset.run.growth import Growth
from tests.run.runs import DRAWN as CHAINS
from tests.run.runs import SIZE, Run, data, drawing, drawn

UNRELATED = (SIZE / 2) ** 0.5  # of images of random black and white


def run(
    path: Path, wanted: int = 400, kinds: int | None = 20, gain: float | None = 0.05, steps: int | None = None
) -> tuple[str, int, Growth | None]:
    """The run's status, its samples and their growth; made afresh for every process there might have been."""
    growth = None if gain is None else Growth(lambda state: UNRELATED, gain)
    begun = Run(path, wanted, drawing(kinds), CHAINS, (-1.0, 2.0), growth=growth)
    with closing(begun):
        for taken, progress in enumerate(begun.runner.steps(), 1):
            assert (progress.new is None) == (growth is None)
            if taken == steps:
                break
        if growth is not None:
            growth.follow(begun.recorder, begun.runner.state)  # of a step that was cut short, too
        return begun.runner.status, begun.recorder.count, growth


def first_of_kind(kinds: int | None, steps: int) -> list[bool]:
    """Drawn again, and counted."""
    seen: set[int] = set()
    new = []
    for step in range(steps):
        for number in drawn(kinds, step):
            new.append(number not in seen)
            seen.add(number)
    return new


@pytest.mark.parametrize(("kinds", "gain"), [(20, 0.05), (120, 0.3), (120, 0.1)])
def test_it_ends_with_the_first_step_after_which_few_were_new(tmp_path, kinds, gain):
    status, samples, growth = run(tmp_path / "run", kinds=kinds, gain=gain)
    new = first_of_kind(kinds, 400 // CHAINS)
    ends = [
        count
        for count in range(CHAINS, 401, CHAINS)
        if count >= LEAST and new[count - WINDOW : count].count(True) < gain * WINDOW
    ]
    assert (status, samples) == ("complete", ends[0])
    assert list(growth.new) == new[: ends[0]]
    assert growth.plateaued


def test_what_never_repeats_itself_goes_on_to_n(tmp_path):
    status, samples, growth = run(tmp_path / "run", wanted=250, kinds=None)
    assert (status, samples) == ("complete", 250)
    assert growth.figures()["plateau"] is False
    assert growth.figures()["coverage"]["value"] == 0
    assert growth.figures()["coverage"]["new"] == 250


@pytest.mark.parametrize("steps", [1, 20])
def test_killed_and_gone_on_with_it_ends_where_it_would_have(tmp_path, steps):
    whole = run(tmp_path / "whole", kinds=120, gain=0.2)[:2]
    status, samples, _ = run(tmp_path / "left", kinds=120, gain=0.2, steps=steps)
    assert (status, samples) == ("incomplete", steps * CHAINS)
    again = run(tmp_path / "left", kinds=120, gain=0.2)
    assert again[:2] == whole
    assert data(tmp_path / "left") == data(tmp_path / "whole")
    finished = run(tmp_path / "left", kinds=120, gain=0.2)
    assert finished[:2] == whole, "and once more there is nothing to do"
    assert finished[2].new == again[2].new


def test_extended_it_equals_a_run_that_was_to_go_so_far(tmp_path):
    """By a smaller gain, by a larger n after a step that was cut short, and to n without a plateau."""
    folder = tmp_path / "grown"
    assert run(folder, kinds=120, gain=0.3)[1] < run(folder, kinds=120, gain=0.1, wanted=260)[1] == 260
    grown = run(folder, kinds=120, gain=0.1)[:2]
    assert grown == run(tmp_path / "fresh", kinds=120, gain=0.1)[:2]
    assert data(folder) == data(tmp_path / "fresh")
    assert run(folder, kinds=120, gain=None)[:2] == run(tmp_path / "n", kinds=120, gain=None)[:2] == ("complete", 400)
    assert data(folder) == data(tmp_path / "n")


def test_the_file_against_brute_force(tmp_path):
    _, samples, growth = run(tmp_path / "run", wanted=230, kinds=40, gain=0.0001)
    growth.write(tmp_path / "coverage.csv")
    with (tmp_path / "coverage.csv").open() as file:
        rows = list(csv.DictReader(file))
    new = first_of_kind(40, 33)[:samples]
    assert [row["n"] for row in rows] == [str(number) for number in range(1, samples + 1)]
    assert [row["new"] == "1" for row in rows] == new
    assert [int(row["new_so_far"]) for row in rows] == [sum(new[:count]) for count in range(1, samples + 1)]
    assert rows[0]["distance"] == ""
    for count, row in enumerate(rows, 1):
        found: Any = [float(row[name]) for name in ("coverage", "low", "high")]
        assert found == pytest.approx(coverage(new[:count]), rel=1e-4, abs=1e-9)
        if count > 1:
            assert (float(row["distance"]) > ALIKE) == (row["new"] == "1")
    figures = growth.figures()["coverage"]
    assert (figures["new"], figures["last"], figures["new_of_last"]) == (sum(new), 100, sum(new[-100:]))


def test_of_few_samples_and_of_none(tmp_path):
    _, samples, growth = run(tmp_path / "run", wanted=10, kinds=40)
    assert growth.figures()["coverage"]["last"] == samples == 10
    none = Growth(lambda state: 1.0, 0.05)
    none.follow(None, None)  # type: ignore[arg-type]
    assert none.new == ()
    assert none.figures()["coverage"]["last"] == 0
    none.write(tmp_path / "coverage.csv")
    assert not (tmp_path / "coverage.csv").exists()
