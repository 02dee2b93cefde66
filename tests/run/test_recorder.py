"""What is on disk after a step, and that a sample counts only as saved."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from invset.baselines.rounds import describe_step
from invset.core.method import Step
from invset.core.problem import Evaluation
from invset.core.region import Region
from invset.errors import NonFiniteError, RunFolderError
from invset.run.folder import RunFolder
from invset.run.images import load_png
from invset.run.journals import read_codes
from invset.run.recorder import Recorder, Tally

REGION = Region.two_sided([(0.2, 0.8)])


class Nothing(NamedTuple):
    """A state."""

    step: int = 0


def read(images: Tensor) -> tuple[Tensor, Tensor]:
    """The encoding is the first two pixels, the activation the very first."""
    flat = images.flatten(1)
    return flat[:, :2], flat[:, :1]


def step_of(values: list[float], number: int = 0, sampling: bool = True) -> Step:
    """Codes whose first entry is the activation; those in range are samples."""
    codes = torch.tensor([[value, 0.5, 0.25] for value in values])
    images = codes[:, :1, None, None].expand(-1, 3, 4, 4).clamp(0, 1)
    step = describe_step(REGION, number, codes, Evaluation(images, codes[:, :2], codes[:, :1]))
    if sampling:
        return step
    return step._replace(samples=step.samples[:0], sampling=torch.zeros_like(step.sampling))


def open_again(folder: RunFolder, reader=read) -> Recorder:
    return Recorder(folder, Nothing, ["fc:1"], 3, reader, REGION, torch.device("cpu"))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "run", "n: 1\n", {}) as created:
        yield created


@pytest.fixture
def recorder(folder: RunFolder) -> Iterator[Recorder]:
    made = open_again(folder)
    assert (made.state, made.tally) == (None, Tally())
    yield made
    made.close()
    made.close()  # a second time does nothing


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_step_on_disk(recorder: Recorder, folder: RunFolder) -> None:
    assert recorder.record(step_of([0.4, 0.9, 0.6], number=7), room=10) == 2
    assert recorder.count == 2
    assert [path.name for path in sorted(folder.paths.images.iterdir())] == ["0001.png", "0002.png"]
    written = lines(folder.paths.activations)
    assert [(line["sample"], line["chain"], line["step"]) for line in written] == [("1", "1", "7"), ("2", "3", "7")]
    for number, line in enumerate(written, start=1):
        first_pixel = float(load_png(folder.paths.image(number))[0, 0, 0])
        assert float(line["fc:1 saved"]) == pytest.approx(first_pixel, rel=1e-6)
        assert line["in_range"] == "1"
    assert torch.equal(read_codes(folder.paths.code_journal, 3)[:, 0], torch.tensor([0.4, 0.6]))
    assert recorder.encodings.shape == (2, 2)
    trace = lines(folder.paths.trace)
    assert [(line["accepted"], line["phase"]) for line in trace] == [
        ("1", "sampling"),
        *[(a, "sampling") for a in "01"],
    ]
    assert [float(line["fc:1 violation"]) for line in trace] == pytest.approx([0, 0.1, 0], abs=1e-6)


def test_a_seeding_step_has_only_a_trace(recorder: Recorder, folder: RunFolder) -> None:
    assert recorder.record(step_of([0.4, 0.9], sampling=False), room=10) == 0
    assert recorder.count == 0
    assert [line["phase"] for line in lines(folder.paths.trace)] == ["seeding", "seeding"]
    assert lines(folder.paths.activations) == []
    assert list(folder.paths.images.iterdir()) == []
    assert recorder.encodings.shape == (0, 0)


@pytest.mark.parametrize(("room", "seen", "kept"), [(10, 5, 3), (2, 4, 2), (0, 0, 0)])
def test_only_what_lies_in_range_as_saved_counts_and_room_is_for_no_more(
    recorder: Recorder, folder: RunFolder, room: int, seen: int, kept: int
) -> None:
    """Candidates are looked at until enough have counted; 0.2001 is saved as 51/255 = 0.2, which is out of range."""
    recorder.region = Region.two_sided([(0.20005, 0.8)])
    assert recorder.record(step_of([0.2001, 0.5, 0.2001, 0.6, 0.7]), room) == seen
    assert recorder.count == kept
    assert sorted(path.name for path in folder.paths.images.iterdir()) == ["0001.png", "0002.png", "0003.png"][:kept]
    assert read_codes(folder.paths.code_journal, 3)[:, 0].tolist() == pytest.approx([0.5, 0.6, 0.7][:kept])
    written = [(line["sample"], line["in_range"]) for line in lines(folder.paths.activations)]
    assert written == [("", "0"), ("1", "1"), ("", "0"), ("2", "1"), ("3", "1")][:seen]
    for number in range(1, kept + 1):
        assert load_png(folder.paths.image(number))[0, 0, 0] == pytest.approx(0.4 + number / 10, abs=0.003)
    assert len(lines(folder.paths.trace)) == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_of_a_saved_image_is_no_sample_out_of_range(recorder: Recorder, folder: RunFolder, bad: float) -> None:
    recorder.read = lambda images: (images.flatten(1)[:, :2], torch.full((len(images), 1), bad))
    with pytest.raises(NonFiniteError, match="0001 to 0002 as saved gave NaN or infinity"):
        recorder.record(step_of([0.5, 0.6]), room=10)
    assert recorder.count == 0
    assert lines(folder.paths.activations) == []
    assert list(folder.paths.images.iterdir()) == []


@pytest.mark.parametrize("journal", ["activations", "trace", "codes"])
def test_after_a_failed_write_what_counts_is_whole(
    recorder: Recorder, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    recorder.record(step_of([0.4]), room=10)

    def full(*_: object) -> None:
        raise RunFolderError("the disk is full")

    monkeypatch.setattr(getattr(recorder, journal), "append", full)
    with pytest.raises(RunFolderError, match="full"):
        recorder.record(step_of([0.5, 0.6], number=1), room=10)
    numbers = {int(line["sample"]) for line in lines(folder.paths.activations)}
    assert set(range(1, recorder.count + 1)) <= numbers
    assert len(read_codes(folder.paths.code_journal, 3)) >= recorder.count
    assert len(recorder.encodings) == recorder.count
    assert len(list(folder.paths.images.iterdir())) == recorder.count


def test_reopened_it_has_the_very_encodings_of_before(recorder: Recorder, folder: RunFolder) -> None:
    """What a network gives may depend on how many images it is given at once: they are read as when they were saved."""

    def shaky(images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1)[:, :2] + len(images) / 7, images.flatten(1)[:, :1]

    recorder.read = shaky
    for number, values in enumerate(([0.4, 0.6, 0.5], [0.9], [0.3], [0.7, 0.2], [0.25] * 5, [0.75] * 40)):
        recorder.record(step_of(values, number), room=100)
    for row in range(recorder.count + 1):
        assert torch.equal(recorder.encodings_from(row), recorder.encodings[row:]) or row == recorder.count
    tally = Tally(samples=recorder.count, seed_steps=3, closest=(0.25,), seconds=1 / 3)
    recorder.checkpoint(Nothing(7), tally)
    recorder.close()
    again = open_again(folder, shaky)
    assert torch.equal(again.encodings, recorder.encodings)
    assert (again.state, again.tally) == (Nothing(7), tally)
    again.close()
