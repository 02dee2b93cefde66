"""Moving pictures of runs: frames by their pixels, files as other programs read them back."""

from __future__ import annotations

import resource
import sys
import weakref
from collections.abc import Callable, Iterator
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
from invset.report.animation import Film, evenly, in_order
from invset.report.movie import durations, has_mp4, write_movie
from invset.report.movie_panel import BAR, OUTSIDE, axes
from invset.report.runs import FinishedRun, read_run

KINDS = ("mp4", "webp", "gif")
FACTOR = 43  # the images of `written` are 6 pixels wide: 258 is next to 256


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


def _write(film: Film, path: Path, fps: str = "8") -> Path:
    write_movie(path, film.frames(), len(film.rows), Fraction(fps), film.look, path.suffix[1:])
    return path


@pytest.fixture
def made(written) -> Callable[..., FinishedRun]:
    """A run of n images of 6x4 random pixels, whose activations are 1, 1.25, 1.5, ..."""

    def make(n: int = 5, upper: float = 2, **options) -> FinishedRun:
        return read_run(written(n=n, **options), "paper", [(1, upper)])

    return make


def test_in_order_of_activation_or_of_sampling():
    activations = torch.tensor([[5.0, 0], [1, 2], [5, 1], [-2, 2]])
    assert in_order(activations) == [3, 1, 0, 2]
    assert in_order(activations, unit=1) == [0, 2, 1, 3]
    assert in_order(activations, "sampling") == [0, 1, 2, 3]
    for wrong in (("activation", 2), ("activation", -1), ("random", 0)):
        with pytest.raises(ValueError, match="no order by"):
            in_order(activations, *wrong)


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
    assert [axis.share(value) for value in (0, 1, 1.25, 2, 9)] == [0, 0, 0.25, 1, 1]
    assert axis.number(1.25) == "1.25"
    (axis,) = axes(made(name="lower", n=6), only_lower=True)
    assert axis.outside == (False,) * 6
    assert axis.upper == 2.25
    (axis,) = axes(made(name="extreme", upper=1.7e308))
    assert axis.share(0.85e308) == pytest.approx(0.5)
    assert axis.number(1e30) == "1.000e+30"


@pytest.mark.parametrize(("lower", "upper", "text"), [(0, 500, "3"), (50, 60, "3.1"), (0.7, 0.9, "3.142")])
def test_decimals_tell_some_hundred_places_in_the_range_apart(made, lower, upper, text):
    run = made()
    (axis,) = axes(FinishedRun(**{**vars(run), "ranges": ((lower, upper),)}))
    assert axis.number(3.14159) == text


def test_a_frame_is_the_image_and_where_its_activation_lies(made):
    run = made(n=5)
    film = Film.of(run, range(5))
    frames = [np.asarray(frame) for frame in film.frames()]
    left, top, right, bottom = film.look.box
    assert (right - left, bottom - top) == (6 * FACTOR, 4 * FACTOR)
    filled, done = [], []
    for row, frame in enumerate(frames):
        assert frame.shape[:2] == film.size[::-1]
        assert (frame[top:bottom, left:right] == _saved(run, row)).all()
        filled.append(_is(frame[bottom:], BAR).any(axis=0).nonzero()[0].max())
        done.append(_is(frame[-1:], "#444444").sum())
        assert not _is(frame[bottom:], OUTSIDE).any()
    assert np.diff(filled) == pytest.approx(np.diff(filled).mean(), abs=1)
    assert filled[-1] - filled[0] > film.size[0] / 2
    assert done == pytest.approx(film.size[0] * np.arange(1, 6) / 5, abs=1)


def test_more_frames_than_pixels_to_count_them(made):
    film = Film.of(made(), [0, 1] * 2000)
    first = np.asarray(next(film.frames()))
    assert _is(first[-1:], "#444444").sum() == 1


def test_what_lies_outside_the_range_is_in_red(made):
    film = Film.of(made(n=7), range(7))
    red = [_is(np.asarray(frame)[film.look.box[3] :], OUTSIDE).any() for frame in film.frames()]
    assert red == [False] * 5 + [True] * 2


@pytest.mark.parametrize(("width", "height", "side"), [(1, 1, 16), (65, 64, 64), (7, 301, 256), (333, 32, 256)])
def test_sides_are_even_and_hold_text_and_image(tmp_path, made, width, height, side):
    run = made(n=2)
    for number in (1, 2):
        Image.new("RGB", (width, height), "blue").save(run.root / "images" / f"{number:04d}.png")
    film = Film.of(run, [0, 1], side)
    left, top, right, bottom = film.look.box
    assert film.size[0] % 2 == film.size[1] % 2 == top == 0
    assert 0 <= left < right <= film.size[0]
    assert abs(max(right - left, bottom) - side) <= side // 4 + 1
    for frame in film.frames():
        blue = _is(np.asarray(frame), "blue")
        assert blue[:bottom, left:right].all()
        assert blue.sum() == (right - left) * bottom
    for kind in KINDS:
        assert _read(_write(film, tmp_path / f"a.{kind}")).frames[0].shape == (film.size[1], film.size[0], 3)


def test_several_units_stand_below_each_other_and_long_labels_are_cut(made):
    run = made()
    one = Film.of(run, range(5))
    label = "great white shark, white shark, man-eater, 人食い鮫, Carcharodon carcharias"
    two = FinishedRun(
        **{
            **vars(run),
            "units": ("conv5:97:6:6", "fc8:2"),
            "labels": (None, label),
            "ranges": ((2, 3), (1, 2)),
            "activations": run.activations.repeat(1, 2),
        }
    )
    film = Film.of(two, range(5))
    assert film.size[0] == one.size[0]
    assert film.size[1] > one.size[1] + 30
    numbers = [np.asarray(next(each.frames()))[each.look.box[3] :, -40:] for each in (one, film)]
    # The first unit's 1.00 is outside its range, and red; the number of the second stands free below it, as alone.
    below = [numbers[1][down : down + 22] for down in range(30, 60)]
    assert sum((part == numbers[0][:22]).all() for part in below) == 1
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
    film = Film.of(run, rows)
    read = _read(_write(film, tmp_path / f"a.{kind}", fps))
    assert len(read.frames) == 9
    assert sum(read.milliseconds) == pytest.approx(9000 / float(fps), abs=10)
    assert read.milliseconds == pytest.approx([1000 / float(fps)] * 9, abs=10 if kind == "gif" else 1.1)
    left, top, right, bottom = film.look.box
    for row, frame in zip(rows, read.frames, strict=True):
        error = np.abs(frame[top:bottom, left:right].astype(int) - _saved(run, row))
        assert error.mean() < {"mp4": 5, "webp": 5, "gif": 1e-9}[kind]  # other frames are off by 85
        white = frame[bottom + 2 : bottom + 5, 1:-1]  # above the text
        assert white.min() >= (255 if kind == "gif" else 230)
        assert frame[-5, 1:-1].min() >= (255 if kind == "gif" else 230)  # above the bar at the foot


def test_colours_of_mp4_in_a_program_that_does_not_look_at_tags(tmp_path, made):
    run = made(n=5)
    film = Film.of(run, range(5))
    video = cv2.VideoCapture(str(_write(film, tmp_path / "a.mp4")))
    left, top, right, bottom = film.look.box
    for row in range(5):
        _, frame = video.read()
        error = frame[top:bottom, left:right, ::-1].mean(axis=(0, 1)) - _saved(run, row).mean(axis=(0, 1))
        assert np.abs(error).max() < 3
    assert not video.read()[0]


def test_browsers_can_begin_before_an_mp4_is_here(tmp_path, made):
    data = _write(Film.of(made(), range(5)), tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_run_gives_the_same_bytes(tmp_path, made, kind):
    film = Film.of(made(n=12), range(12))
    assert _write(film, tmp_path / f"a.{kind}").read_bytes() == _write(film, tmp_path / f"b.{kind}").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_let_go(tmp_path, made, kind):
    film = Film.of(made(n=12), range(12), side=32)
    given: list[weakref.ref[Image.Image]] = []
    most = 0

    def watched() -> Iterator[Image.Image]:
        nonlocal most
        for frame in film.frames():
            given.append(weakref.ref(frame))
            most = max(most, sum(each() is not None for each in given))
            yield frame
            del frame

    write_movie(tmp_path / "a", watched(), 12, Fraction(8), film.look, kind)
    assert most <= 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunFolderError("an image is damaged")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_movie_that_is_not_finished_leaves_what_was_there(tmp_path, made, kind, error):
    film = Film.of(made(), range(5))
    path = tmp_path / f"a.{kind}"

    def broken() -> Iterator[Image.Image]:
        frames = film.frames()
        yield next(frames)
        yield next(frames)
        raise error

    for before in (None, b"before"):
        if before:
            path.write_bytes(before)
        there = sorted(tmp_path.iterdir())
        with pytest.raises(error if isinstance(error, type) else type(error)):
            write_movie(path, broken(), 5, Fraction(8), film.look, kind)
        assert sorted(tmp_path.iterdir()) == there
        assert before is None or path.read_bytes() == before
    assert len(_read(_write(film, path)).frames) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_full(tmp_path, made, kind):
    film = Film.of(made(n=9), range(9))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with pytest.raises(RunFolderError, match=rf"a\.{kind}: cannot be written .*Choose another place with out="):
            _write(film, tmp_path / f"a.{kind}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*a.*"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_not_there(tmp_path, made, kind):
    film = Film.of(made(), range(5))
    with pytest.raises(RunFolderError, match=r"no/a: cannot be written \(No such file or directory\)"):
        write_movie(tmp_path / "no" / "a", film.frames(), 5, Fraction(8), film.look, kind)


def test_mp4_without_its_package(tmp_path, made, monkeypatch):
    assert has_mp4()
    film = Film.of(made(), range(5))
    monkeypatch.setattr(av, "codecs_available", {"libopenh264"})
    with pytest.raises(ConfigError, match=r"cannot encode H\.264"):
        _write(film, tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=r"pip install 'invset\[video\]', or give format=webp"):
        _write(film, tmp_path / "a.mp4")
    assert not has_mp4()
    assert len(_read(_write(film, tmp_path / "a.webp")).frames) == 5
