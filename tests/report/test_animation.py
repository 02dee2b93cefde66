"""Moving pictures of runs: frames by their pixels, files as other programs read them back."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageColor

from invset.errors import ConfigError, RunFolderError
from invset.report.animation import INSIDE, OUTSIDE, axes, draw_frames, evenly, in_order
from invset.report.movie import durations, has_mp4, write_movie
from invset.report.runs import FinishedRun, read_run

KINDS = ("mp4", "webp", "gif")
FACTOR = 43  # the images of `written` are 6 pixels wide: 258 is next to 256
HIGH, WIDE = 4 * FACTOR, 6 * FACTOR


class Read(NamedTuple):
    frames: list[np.ndarray]
    milliseconds: list[float]


def _read(path: Path) -> Read:
    if path.suffix == ".mp4":
        with av.open(str(path)) as file:
            frames = [(frame.to_ndarray(format="rgb24"), frame.time) for frame in file.decode(video=0)]
            ends = [time for _, time in frames] + [file.duration / av.time_base]
        return Read([levels for levels, _ in frames], list(1000 * np.diff(ends)))
    with Image.open(path) as movie:
        read = Read([], [])
        assert movie.info["loop"] == 0
        for number in range(movie.n_frames):
            movie.seek(number)
            read.frames.append(np.asarray(movie.convert("RGB")))
            read.milliseconds.append(movie.info["duration"])
        return read


def _is(levels: np.ndarray, colour: str) -> np.ndarray:
    return (levels == np.array(ImageColor.getrgb(colour))).all(axis=2)


def _saved(run: FinishedRun, row: int) -> np.ndarray:
    """The image, enlarged by NumPy."""
    with Image.open(run.root / "images" / f"{row + 1:04d}.png") as picture:
        return np.kron(np.asarray(picture), np.ones((FACTOR, FACTOR, 1), np.uint8))


def _write(run: FinishedRun, rows: Sequence[int], path: Path, fps: str = "8") -> Path:
    write_movie(path, draw_frames(run, rows), len(rows), Fraction(fps), path.suffix[1:])
    return path


@pytest.fixture
def made(written) -> Callable[..., FinishedRun]:
    """A run of n images of 6x4 random pixels, whose activations are 1, 1.25, 1.5, ..."""

    def make(n: int = 5, upper: float = 2, **options) -> FinishedRun:
        return read_run(written(n=n, range=(1, upper), **options))

    return make


def test_in_order_of_activation_or_of_sampling():
    activations = torch.tensor([[5.0, 0], [1, 2], [5, 1], [-2, 2]])
    assert in_order(activations) == [3, 1, 0, 2]
    assert in_order(activations, unit=1) == [0, 2, 1, 3]
    assert in_order(activations, "sampling") == [0, 1, 2, 3]


def test_evenly_spaced_with_both_ends():
    rows = list(range(100, 130))
    for count in range(2, 30):
        chosen = evenly(rows, count)
        steps = np.diff(chosen)
        assert len(chosen) == count
        assert (chosen[0], chosen[-1]) == (100, 129)
        assert steps.max() - steps.min() <= 1
    assert evenly(rows, 30) == evenly(rows, 31) == rows


def test_axes(made):
    (axis,) = axes(made(n=6))
    assert axis.name == "fc8:2 goldfish"
    assert axis.outside == (False,) * 5 + (True,)  # 2.25 is above 2
    assert axis.decimals == 2
    (axis,) = axes(made(name="lower", n=6), only_lower=True)
    assert axis.outside == (False,) * 6
    assert axis.upper == 2.25


def test_a_frame_is_the_image_and_where_its_activation_lies(made):
    run = made(n=7)
    frames = [np.asarray(frame) for frame in draw_frames(run, range(7))]
    filled, done = [], []
    for row, frame in enumerate(frames):
        assert frame.shape == frames[0].shape
        assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
        left = (frame.shape[1] - WIDE) // 2
        assert (frame[:HIGH, left : left + WIDE] == _saved(run, row)).all()
        done.append(_is(frame[-1:], "#444444").sum())
        assert _is(frame[HIGH:], OUTSIDE).any() == (row > 4)
        if row < 5:
            filled.append(_is(frame[HIGH:], INSIDE).any(axis=0).nonzero()[0].max())
    assert np.diff(filled) == pytest.approx(np.diff(filled).mean(), abs=1)
    assert filled[-1] - filled[0] > frames[0].shape[1] / 2
    assert done == pytest.approx(frames[0].shape[1] * np.arange(1, 8) / 7, abs=1)


@pytest.mark.parametrize(("width", "height", "side"), [(1, 1, 16), (65, 64, 64), (7, 301, 256), (333, 32, 256)])
def test_sides_are_even_and_hold_the_image(tmp_path, made, width, height, side):
    run = made(n=2)
    for number in (1, 2):
        Image.new("RGB", (width, height), "blue").save(run.root / "images" / f"{number:04d}.png")
    (frame, _) = map(np.asarray, draw_frames(run, [0, 1], side))
    blue = _is(frame, "blue")
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    assert abs(max(blue.any(axis=0).sum(), blue.any(axis=1).sum()) - side) <= side // 4 + 1
    assert blue.sum() == blue.any(axis=0).sum() * blue.any(axis=1).sum()


def test_several_units_stand_below_each_other_and_long_labels_are_cut(made):
    run = made()
    label = "great white shark, white shark, man-eater, Carcharodon carcharias"
    two = {"units": ("conv5:97:6:6", "fc8:2"), "labels": (None, label), "ranges": ((2, 3), (1, 2))}
    both = FinishedRun(**{**vars(run), **two, "activations": run.activations.repeat(1, 2)})
    (one, *_), (frame, *_) = (list(map(np.asarray, draw_frames(each, range(5)))) for each in (run, both))
    assert frame.shape[1] == one.shape[1]
    assert frame.shape[0] > one.shape[0] + 30
    # The first unit's 1.00 is outside its range, and red; the number of the second stands free below it, as alone.
    numbers = [each[HIGH:, -40:] for each in (one, frame)]
    below = [numbers[1][down : down + 18] for down in range(25, 60)]
    assert sum((part == numbers[0][:18]).all() for part in below) == 1
    assert _is(numbers[1][:22], OUTSIDE).any()


def test_durations_keep_the_time():
    for ticks in (100, 1000):
        for fps in ("8", "0.3", "50", "7.5"):
            found = durations(61, Fraction(fps), ticks)
            assert sum(found) == round(61 * ticks / Fraction(fps))
            assert max(found) - min(found) <= 1


@pytest.mark.parametrize("fps", ["8", "0.4", "29.97"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back(tmp_path, made, kind, fps):
    run = made(n=9, upper=3)
    rows = [4, 8, 0, 1, 2, 3, 5, 7, 6]
    read = _read(_write(run, rows, tmp_path / f"a.{kind}", fps))
    assert len(read.frames) == 9
    assert sum(read.milliseconds) == pytest.approx(9000 / float(fps), abs=10)
    assert read.milliseconds == pytest.approx([1000 / float(fps)] * 9, abs=10 if kind == "gif" else 1.1)
    for row, frame in zip(rows, read.frames, strict=True):
        left = (frame.shape[1] - WIDE) // 2
        error = np.abs(frame[:HIGH, left : left + WIDE].astype(int) - _saved(run, row))
        assert error.mean() < 5  # other frames are off by 85
        assert frame[HIGH + 2 : HIGH + 5, 1:-1].min() >= 230  # above the text it is white


def test_colours_of_mp4_in_a_program_that_does_not_look_at_tags(tmp_path, made):
    run = made(n=5)
    video = cv2.VideoCapture(str(_write(run, range(5), tmp_path / "a.mp4")))
    for row in range(5):
        _, frame = video.read()
        left = (frame.shape[1] - WIDE) // 2
        error = frame[:HIGH, left : left + WIDE, ::-1].mean(axis=(0, 1)) - _saved(run, row).mean(axis=(0, 1))
        assert np.abs(error).max() < 3
    assert not video.read()[0]


def test_browsers_can_begin_before_an_mp4_is_here(tmp_path, made):
    data = _write(made(), range(5), tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_run_gives_the_same_bytes(tmp_path, made, kind):
    run = made(n=12)
    one, other = (_write(run, range(12), tmp_path / f"{name}.{kind}") for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunFolderError("an image is damaged")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_movie_that_is_not_finished_leaves_what_was_there(tmp_path, made, kind, error):
    run, path = made(), tmp_path / f"a.{kind}"

    def broken() -> Iterator[Image.Image]:
        frames = draw_frames(run, range(5))
        yield next(frames)
        yield next(frames)
        raise error

    path.write_bytes(b"before")
    there = sorted(tmp_path.iterdir())
    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_movie(path, broken(), 5, Fraction(8), kind)
    assert sorted(tmp_path.iterdir()) == there
    assert path.read_bytes() == b"before"
    assert len(_read(_write(run, range(5), path)).frames) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full_and_a_folder_that_is_not_there(tmp_path, made, kind):
    run = made(n=9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(RunFolderError, match=rf"a\.{kind}: cannot be written .* or choose another place"):
            _write(run, range(9), tmp_path / f"a.{kind}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*a.*"))
    with pytest.raises(RunFolderError, match=rf"no/a.{kind}: cannot be written \(No such file or directory\)"):
        _write(run, range(9), tmp_path / "no" / f"a.{kind}")


def test_mp4_without_its_package(tmp_path, made, monkeypatch):
    assert has_mp4()
    run = made()
    monkeypatch.setattr(av, "codecs_available", {"libopenh264"})
    assert not has_mp4()
    monkeypatch.setitem(sys.modules, "av", None)
    assert not has_mp4()
    with pytest.raises(ConfigError, match=r"pip install 'invset\[video\]'"):
        _write(run, range(5), tmp_path / "a.mp4")
