"""`invset runs` and `invset show`: what is in a folder, the newest first, and its picture."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from invset.cli import show
from invset.run.folder import RunFolder

QUICK = ("experiment=linear", "n=4", "schedule.K=2")


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """What was opened, on a machine that has a display."""
    addresses: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(show.webbrowser, "open", addresses.append)
    return addresses


def _copied(run: Path, folder: str, age: int) -> Path:
    """A run, so many seconds old."""
    copy = Path(shutil.copytree(run, folder))
    os.utime(copy / "config.yaml", (1e9 - age, 1e9 - age))
    return copy


def _cells(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]


def test_runs_are_listed_newest_first(invset, here, linear_run, mini_run):
    _copied(linear_run, "outputs/a/older", 20)
    _copied(mini_run, "outputs/newer", 10)
    assert _cells(invset("runs").out) == [
        ["outputs/newer", "14 of 14", "complete", "fc8:2 goldfish in [50, 60]"],
        ["outputs/a/older", "22 of 22", "complete", "output:1 in [0.7, 0.9]"],
    ]
    assert _cells(invset("runs", "outputs/a", "outputs/a/older").out) == [
        ["outputs/a/older", "22 of 22", "complete", "output:1 in [0.7, 0.9]"]
    ]


def test_a_run_of_another_method_one_that_was_killed_one_that_goes_on_and_a_damaged_one(invset, here, linear_run):
    for age, name in enumerate(("method", "killed", "going", "damaged")):
        _copied(linear_run, f"outputs/{name}", age)
    config = Path("outputs/method/config.yaml")
    config.write_text(config.read_text().replace("name: multistart", "name: paper"))
    os.utime(config, (2e9, 2e9))
    Path("outputs/killed/summary.json").unlink()
    Path("outputs/killed/images/0022.png").unlink()
    Path("outputs/damaged/manifest.json").write_text("{")
    with RunFolder.reopen(Path("outputs/going")):
        lines = _cells(invset("runs").out)
    assert lines == [
        ["outputs/method", "22 of 22", "complete", "output:1 in [0.7, 0.9], method=paper"],
        ["outputs/killed", "21 of 22", "cut short", "output:1 in [0.7, 0.9]"],
        ["outputs/going", "22 of 22", "running", "output:1 in [0.7, 0.9]"],
        ["outputs/damaged", "?", "damaged", "?"],
    ]


def test_a_sweep_is_one_line_and_its_picture_its_overview(invset, here, linear_run, opened):
    assert invset("sample", "-m", *QUICK, "seed=0,1").code == 0
    shutil.copytree(linear_run, "outputs/copy")  # as old as it was: older
    sweep, _ = _cells(invset("runs").out)
    assert sweep[1:] == ["2 jobs", "2 complete", "sweep of experiment=linear n=4 schedule.K=2 seed=0,1"]
    assert Path(sweep[0]).parts[:2] == ("outputs", "sweeps")
    assert invset("show").out == f"{sweep[0]}/overview.png\n"
    assert invset("show", sweep[0]).out == f"{sweep[0]}/overview.png\n"
    assert opened == [Path(sweep[0], "overview.png").resolve().as_uri()] * 2


def test_where_there_are_none(invset, here):
    assert invset("runs").out == "no runs in outputs yet: invset sample makes one.\n"
    assert invset("runs", "nowhere") == (2, "", "invset: nowhere: there is no such folder.\n")
    assert invset("show").err.startswith("invset: there is no run in outputs yet")
    assert invset("show", "nowhere").err.startswith("invset: nowhere: there is no such run")


def test_the_latest_picture_is_opened_or_the_one_asked_for(invset, here, linear_run, opened):
    older, newer = _copied(linear_run, "outputs/older", 20), _copied(linear_run, "outputs/newer", 10)
    assert invset("show").out == "outputs/newer/samples.png\n"
    assert invset("show", "outputs/older").out == "outputs/older/samples.png\n"
    (newer / "index.html").write_text("")
    assert invset("show").out == "outputs/newer/index.html\n"
    pictures = newer / "samples.png", older / "samples.png", newer / "index.html"
    assert opened == [picture.resolve().as_uri() for picture in pictures]
    for picture in pictures[0], pictures[2]:
        picture.unlink()
    (newer / "seeds.png").unlink(missing_ok=True)
    assert invset("show").out == "outputs/older/samples.png\n"
    assert "outputs/newer: has no picture yet" in invset("show", "outputs/newer").err


def test_without_a_display_only_the_path_is_printed(invset, here, linear_run, opened, monkeypatch):
    _copied(linear_run, "outputs/run", 0)
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert invset("show").out == "outputs/run/samples.png\n"
    assert opened == []
