"""`invset animate` on real runs: what the file shows, and every mistake in words."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from invset.cli import animate
from invset.cli.signals import Interrupted
from invset.errors import ConfigError, RunFolderError
from invset.report.runs import FinishedRun


def _animate(*arguments: object, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, width=200, force_terminal=terminal)
    assert animate.run([str(argument) for argument in arguments], console) == 0
    return text.getvalue()


def _frames(path: Path) -> list[np.ndarray]:
    if path.suffix == ".mp4":
        with av.open(str(path)) as file:
            return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with Image.open(path) as movie:
        frames = []
        for number in range(movie.n_frames):
            movie.seek(number)
            frames.append(np.asarray(movie.convert("RGB")))
        return frames


def _activations(run: Path) -> list[float]:
    with (run / "activations.csv").open(newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row["sample"] for name in row if "saved" in name]


def _shown(frames: list[np.ndarray], run: Path) -> list[int]:
    """Which sample each frame shows, from 0: that with the nearest mean colours of its quarters."""
    saved = []
    for path in sorted((run / "images").iterdir()):
        with Image.open(path) as picture:
            saved.append(_quarters(np.asarray(picture.convert("RGB"))))
    side = 256  # of both fixtures' images, enlarged
    left = (frames[0].shape[1] - side) // 2
    found = []
    for frame in frames:
        errors = [np.abs(_quarters(frame[:side, left : left + side]) - own).max() for own in saved]
        assert min(errors) < 6
        found.append(int(np.argmin(errors)))
    return found


def _quarters(levels: np.ndarray) -> np.ndarray:
    half = levels.shape[0] // 2
    return np.array([part[:, cut].mean(axis=(0, 1)) for part in (levels[:half], levels[half:]) for cut in (
        slice(None, half), slice(half, None))])  # fmt: skip


@pytest.fixture
def linear_copy(here, linear_run) -> Path:
    return Path(shutil.copytree(linear_run, here / "other"))


@pytest.fixture
def without_av(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)


@pytest.mark.parametrize("kind", ["mp4", "webp", "gif"])
def test_all_samples_from_the_lowest_activation_to_the_highest(here, mini_run, kind):
    text = _animate(mini_run, f"out=pictures/a.{kind}")
    activations = _activations(mini_run)
    shown = _shown(_frames(Path(f"pictures/a.{kind}")), mini_run)
    assert shown == sorted(range(14), key=activations.__getitem__)
    first, last = text.splitlines()
    assert first.startswith("14 samples in order of fc8:2's activation, 1.8 s, ")
    assert last == f"pictures/a.{kind}"
    assert os.listdir("pictures") == [f"a.{kind}"]  # noqa: PTH208


def test_order_of_sampling(here, mini_run):
    text = _animate(mini_run, "order=sampling", "out=a.gif", "fps=0.5")
    assert _shown(_frames(Path("a.gif")), mini_run) == list(range(14))
    assert "14 samples in order of sampling, 28.0 s" in text


def test_at_most_n_with_both_ends(here, mini_run):
    activations = _activations(mini_run)
    order = sorted(range(14), key=activations.__getitem__)
    _animate(mini_run, "n=3", "out=a.webp")
    low, middle, high = _shown(_frames(Path("a.webp")), mini_run)
    assert (low, high) == (order[0], order[-1])
    assert middle in order[6:8]
    _animate(mini_run, "n=99", "out=b.webp")
    assert len(_frames(Path("b.webp"))) == 14


def test_mp4_in_the_runs_folder_unless_it_is_told_otherwise(linear_copy):
    assert _animate(linear_copy).splitlines()[-1] == "other/samples.mp4"
    assert len(_frames(linear_copy / "samples.mp4")) == 22
    _animate(linear_copy, "format=gif")
    assert len(_frames(linear_copy / "samples.gif")) == 22


def test_without_av_it_is_webp(linear_copy, without_av):
    first, *_, last = _animate(linear_copy).splitlines()
    assert first == "WebP, as MP4 needs the package av: pip install 'invset[video]'"
    assert last == "other/samples.webp"
    assert "pip install" not in _animate(linear_copy, "format=webp")
    for argument in ("format=mp4", "out=a.mp4"):
        with pytest.raises(ConfigError, match=r"pip install 'invset\[video\]'"):
            animate.run([str(linear_copy), argument])


def test_size(here, mini_run):
    _animate(mini_run, "n=2", "size=512", "out=a.gif")
    with Image.open("a.gif") as movie:
        assert movie.width == 512


def test_what_is_there_is_replaced(linear_copy):
    (linear_copy / "samples.gif").write_bytes(b"before")
    _animate(linear_copy, "format=gif", "n=2")
    assert len(_frames(linear_copy / "samples.gif")) == 2


@pytest.mark.parametrize("kind", ["mp4", "webp", "gif"])
def test_an_interruption_leaves_nothing_behind(linear_copy, monkeypatch, kind):
    before = sorted(linear_copy.rglob("*"))
    images = FinishedRun.images

    def interrupted(*arguments, **options):
        for number, image in enumerate(images(*arguments, **options)):
            if number == 3:
                raise Interrupted(2)
            yield image

    monkeypatch.setattr(FinishedRun, "images", interrupted)
    with pytest.raises(Interrupted):
        _animate(linear_copy, f"format={kind}")
    assert sorted(linear_copy.rglob("*")) == before


def test_an_interrupted_run_is_shown_as_far_as_it_came(linear_copy):
    summary = linear_copy / "summary.json"
    text = summary.read_text()
    summary.write_text(text.replace('"complete"', '"interrupted"'))
    _animate(linear_copy, "format=gif")
    summary.unlink()
    with pytest.raises(RunFolderError, match="has not come to its end"):
        _animate(linear_copy)


def test_a_single_sample_does_not_move(linear_copy):
    summary, journal = linear_copy / "summary.json", linear_copy / "activations.csv"
    summary.write_text(summary.read_text().replace('"samples": 22', '"samples": 1'))
    lines = journal.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("1,"))
    journal.write_text("\n".join(lines[: first + 1]) + "\n")
    (linear_copy / "codes.safetensors").unlink()
    with pytest.raises(RunFolderError, match="a picture moves from 2 samples on, and this run has 1"):
        _animate(linear_copy)


def test_a_damaged_image(linear_copy):
    (linear_copy / "images" / "0007.png").write_bytes(b"no image")
    with pytest.raises(RunFolderError, match=r"0007\.png: (cannot be read|damaged)"):
        _animate(linear_copy, "out=a.mp4")
    assert not list(Path().glob("*a.mp4*"))


def test_a_bar_in_a_terminal_only(here, linear_run):
    assert "of 22" in _animate(linear_run, "out=a.gif", terminal=True)
    assert "of 22" not in _animate(linear_run, "out=a.gif")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "takes one run"),
        (["n=5"], "takes one run"),
        (["nowhere"], "nowhere: there is no such run"),
        (["RUN", "RUN"], "the same run is given twice"),
        (["RUN", "format=avi"], "format=avi: there are gif, mp4, webp"),
        (["RUN", "format=mp"], "format=mp: did you mean mp4"),
        (["RUN", "out=a.avi"], r"out=a\.avi: give a file whose name ends in"),
        (["RUN", "out="], "give a file whose name ends in"),
        (["RUN", "out=a.gif", "format=mp4"], r"format=mp4 does not go with out=a\.gif"),
        (["RUN", "order=activations"], "order=activations: did you mean activation"),
        (["RUN", "fps=0"], r"fps=0.0: give a number from 0\.1 to 60"),
        (["RUN", "fps=61"], "fps=61.0: give"),
        (["RUN", "fps=51", "format=gif"], "give 50 at most in a GIF"),
        (["RUN", "size=15"], "size=15: give a number from 16 to 4096"),
        (["RUN", "size=5000"], "size=5000: give"),
        (["RUN", "unit=0"], "unit=0: give 1 or more"),
        (["RUN", "unit=2"], "unit=2: this run has 1, output:1"),
        (["RUN", "n=1"], "n=1: give 2 or more"),
        (["RUN", "frps=1"], "there is no setting 'frps': did you mean fps"),
        (["RUN", "-m"], "there is no flag -m"),
    ],
)
def test_wrong_arguments(here, linear_run, arguments, message):
    words = [str(linear_run) if argument == "RUN" else argument for argument in arguments]
    with pytest.raises(ConfigError, match=message):
        animate.run(words)


def test_of_a_folder_of_runs_it_is_said_to_give_one(here, linear_copy):
    (here / "runs").mkdir()
    linear_copy.rename(here / "runs" / "a")
    with pytest.raises(ConfigError, match=r"runs: holds 1 run but is not a run itself: give one, as runs/a$"):
        _animate("runs")


def test_a_place_that_cannot_be_written(here, linear_run):
    Path("file").touch()
    Path("folder.gif").mkdir()
    for place in ("file/a.gif", "folder.gif"):
        with pytest.raises(RunFolderError, match=r"cannot be written .*choose another place"):
            _animate(linear_run, f"out={place}")


def test_sweeps_have_equals_signs_in_their_folders(here, linear_copy):
    linear_copy.rename(here / "n=22")
    assert _animate("n=22", "n=2").splitlines()[-1] == "n=22/samples.mp4"


def test_from_the_command_line(invset, linear_copy):
    assert invset("animate", "other", "n=2").out.splitlines()[-1] == "other/samples.mp4"
    result = invset("animate", "other", "fsp=2")
    assert (result.code, result.out) == (2, "")
    assert "did you mean fps" in result.err
