"""What is on disk after a step, and that a sample counts only as saved."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from invset.core.lagrangian import no_multipliers
from invset.core.problem import Evaluation
from invset.core.region import Region
from invset.core.state import StepInfo
from invset.errors import NonFiniteError, RunFolderError
from invset.run import states
from invset.run.codes import read_codes
from invset.run.folder import RunFolder
from invset.run.images import load_png
from invset.run.recorder import Recorder, Tally, activation_header, trace_header

CPU = torch.device("cpu")
REGION = Region.two_sided([(0.2, 0.8)])
UNITS = ["fc:1"]


def read(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The encoding is the first two pixels, the activation the very first."""
    flat = images.flatten(1)
    return flat[:, :2], flat[:, :1]


def step(values: list[float], number: int = 0, phase: str = "sampling") -> StepInfo:
    """Codes whose first entry is the activation; those in range are samples."""
    codes = torch.tensor([[value, 0.5, 0.25] for value in values])
    images = codes[:, :1, None, None].expand(-1, 3, 4, 4).clamp(0, 1)
    activations = codes[:, :1]
    feasible = REGION.contains(activations)
    samples = feasible.nonzero().flatten() if phase == "sampling" else torch.zeros(0, dtype=torch.int64)
    return StepInfo(
        phase=phase,  # type: ignore[arg-type]
        outer=0,
        step=number,
        chains=torch.arange(len(values)),
        codes=codes,
        evaluation=Evaluation(images, codes[:, :2], activations),
        violation=REGION.violation(activations),
        feasible=feasible,
        samples=samples,
        multipliers=no_multipliers(len(values), 1, 10.0, CPU),
        lengths=torch.full((len(values),), 0.5),
    )


@pytest.fixture
def folder(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", "n: 1\n", {}) as created:
        yield created


@pytest.fixture
def recorder(folder: RunFolder):
    made = Recorder(folder, UNITS, 3, read, REGION, CPU)
    yield made
    made.close()


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_headers():
    assert activation_header(["a", "b"]) == [
        "sample", "chain", "step", "a computed", "b computed", "a saved", "b saved", "in_range",
    ]  # fmt: skip
    assert trace_header(["a", "b"]) == [
        "step", "phase", "outer", "chain", "a activation", "b activation", "a violation", "b violation", "a lambda",
        "b lambda", "mu", "length", "accepted",
    ]  # fmt: skip


def test_a_step_on_disk(recorder, folder):
    assert recorder.record(step([0.4, 0.9, 0.6], number=7), room=10) == 2
    assert recorder.count == 2
    assert [path.name for path in sorted(folder.paths.images.iterdir())] == ["0001.png", "0002.png"]
    assert [(line["sample"], line["chain"], line["step"]) for line in lines(folder.paths.activations)] == [
        ("1", "1", "7"),
        ("2", "3", "7"),
    ]
    for number, line in enumerate(lines(folder.paths.activations), start=1):
        first_pixel = float(load_png(folder.paths.image(number))[0, 0, 0])
        assert float(line["fc:1 saved"]) == pytest.approx(first_pixel, rel=1e-6)
        assert line["in_range"] == "1"
    assert torch.equal(read_codes(folder.paths.code_journal, 3)[:, 0], torch.tensor([0.4, 0.6]))
    assert recorder.encodings.shape == (2, 2)
    trace = lines(folder.paths.trace)
    assert [line["accepted"] for line in trace] == ["1", "0", "1"]
    assert [float(line["fc:1 violation"]) for line in trace] == pytest.approx([0, 0.1, 0], abs=1e-6)


def test_a_seeding_step_has_only_a_trace(recorder, folder):
    assert recorder.record(step([0.4, 0.9], phase="seeding"), room=10) == 0
    assert recorder.count == 0
    assert len(lines(folder.paths.trace)) == 2
    assert lines(folder.paths.activations) == []
    assert list(folder.paths.images.iterdir()) == []
    assert recorder.encodings.shape == (0, 0)


def test_what_does_not_lie_in_range_as_saved_does_not_count(recorder, folder):
    inside, outside = 0.5, 0.2001  # saved as 51/255 = 0.2, which is below the range that it is in itself
    recorder.region = Region.two_sided([(0.20005, 0.8)])
    info = step([outside, inside, outside])
    assert recorder.record(info, room=10) == 3
    assert recorder.count == 1
    assert [path.name for path in folder.paths.images.iterdir()] == ["0001.png"]
    assert load_png(folder.paths.image(1))[0, 0, 0] == pytest.approx(0.5, abs=0.003)
    written = lines(folder.paths.activations)
    assert [(line["sample"], line["in_range"]) for line in written] == [("", "0"), ("1", "1"), ("", "0")]
    assert read_codes(folder.paths.code_journal, 3)[:, 0].tolist() == [0.5]


def test_room_is_for_good_samples_and_no_more(recorder, folder):
    recorder.region = Region.two_sided([(0.20005, 0.8)])
    info = step([0.2001, 0.5, 0.2001, 0.6, 0.7])
    assert recorder.record(info, room=2) == 4, "candidates looked at until two had counted"
    assert recorder.count == 2
    assert len(list(folder.paths.images.iterdir())) == 2
    assert len(lines(folder.paths.activations)) == 4
    assert len(lines(folder.paths.trace)) == 5


def test_no_room(recorder, folder):
    assert recorder.record(step([0.5]), room=0) == 0
    assert list(folder.paths.images.iterdir()) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_of_a_saved_image_is_no_sample_out_of_range(recorder, folder, bad):
    recorder.read = lambda images: (images.flatten(1)[:, :2], torch.full((len(images), 1), bad))
    with pytest.raises(NonFiniteError, match="0001 to 0002 as saved gave NaN or infinity"):
        recorder.record(step([0.5, 0.6]), room=10)
    assert recorder.count == 0
    assert lines(folder.paths.activations) == []
    assert list(folder.paths.images.iterdir()) == []


@pytest.mark.parametrize("journal", ["activations", "trace", "codes"])
def test_after_a_failed_write_what_counts_is_whole(recorder, folder, monkeypatch, journal):
    recorder.record(step([0.4]), room=10)

    def full(*_: object) -> None:
        raise RunFolderError("the disk is full")

    monkeypatch.setattr(getattr(recorder, journal), "append", full)
    with pytest.raises(RunFolderError, match="full"):
        recorder.record(step([0.5, 0.6], number=1), room=10)
    numbers = {int(line["sample"]) for line in lines(folder.paths.activations)}
    assert set(range(1, recorder.count + 1)) <= numbers
    assert len(read_codes(folder.paths.code_journal, 3)) >= recorder.count
    assert len(recorder.encodings) == recorder.count
    assert len(list(folder.paths.images.iterdir())) == recorder.count


def test_the_tally_of_a_new_run(recorder):
    assert recorder.state is None
    assert recorder.tally == Tally()
    assert recorder.tally.seed_steps == -1


def test_closing_twice(recorder):
    recorder.close()
    recorder.close()


def test_reopened_it_has_the_very_encodings_of_before(recorder, folder, monkeypatch):
    """What a network gives may depend on how many images it is given at once: they are read as when they were saved."""

    def shaky(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images.flatten(1)[:, :2] + len(images) / 7, images.flatten(1)[:, :1]

    recorder.read = shaky
    for number, values in enumerate(([0.4, 0.6, 0.5], [0.3], [0.7, 0.2], [0.25] * 5, [0.75] * 40)):
        recorder.record(step(values, number), room=100)
    monkeypatch.setattr(states, "pack", lambda state: ({"codes": torch.zeros(1)}, {}))
    monkeypatch.setattr(states, "unpack", lambda *parts: None)
    recorder.checkpoint(None, Tally(samples=recorder.count))  # type: ignore[arg-type]
    recorder.close()
    again = Recorder(folder, UNITS, 3, shaky, REGION, CPU)
    assert torch.equal(again.encodings, recorder.encodings)
    again.close()


def test_encodings_from_a_row_on(recorder):
    for number, values in enumerate(([0.4, 0.6, 0.5], [0.9], [0.3], [0.7, 0.2])):
        recorder.record(step(values, number), room=100)
    for row in range(6):
        assert torch.equal(recorder.encodings_from(row), recorder.encodings[row:])
    assert len(recorder.encodings_from(6)) == 0
