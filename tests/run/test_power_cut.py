"""A run whose machine loses power goes on, and ends with the bytes of one that was left alone."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from simulated_disk import Disk, PowerCut
from tests.run.runs import DRAWN, Run, data, drawing, go

WANTED = 40


def run(path: Path) -> Run:
    """To its end, flushing about every third step."""
    ticks = itertools.count(0, 4.0)
    begun = Run(path, WANTED, drawing(None), DRAWN, (0.3, 0.7), clock=lambda: next(ticks))
    go(begun)
    return begun


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("whole")
    run(path)
    return data(path)


def cut(path: Path, fatal: int) -> Disk:
    """The disk of a run whose power is cut at an operation."""
    path.mkdir()
    disk = Disk(path, fatal)
    with disk.watching(), pytest.raises(PowerCut):
        run(path)
    return disk


def test_power_cuts(tmp_path: Path, whole: dict[str, bytes]) -> None:
    (tmp_path / "all").mkdir()
    counting = Disk(tmp_path / "all")
    with counting.watching():
        assert run(tmp_path / "all").recorder.count == WANTED
    assert counting.calls > 100
    assert data(tmp_path / "all") == whole
    chance = random.Random(0)
    gone_back = 0
    for number in range(30):
        disk = cut(tmp_path / f"{number}", chance.randrange(1, counting.calls))
        for left in range(2):
            folder = tmp_path / f"{number}-{left}"
            disk.leave(folder, chance)
            again = run(folder)
            assert again.recorder.count == WANTED
            gone_back += bool(again.recorder.mended)
            assert data(folder) == whole, (number, left)
    assert gone_back > 5
