"""Folders of runs, written by hand: what is read of them, and what is said of damaged ones."""

from __future__ import annotations

import math

import pytest
import torch
from PIL import Image

from invset.errors import RunFolderError
from invset.report.runs import closest_activations, count_passes, read_run, spread_rows


def test_all_that_a_folder_says(written):
    run = read_run(written(method="ppgn"))
    assert (run.method, run.units, run.labels, run.ranges) == ("ppgn", ("fc8:2",), ("goldfish",), ((1.0, 3.0),))
    assert run.activations[:, 0].tolist() == [1, 1.25, 1.5, 1.75, 2]  # the line of no sample is none
    assert run.chains.tolist() == [1] * 5
    assert [cell.caption for cell in run.cells([4, 0])] == ["2", "1"]
    assert run.target == "fc8:2 goldfish in [1, 3]"
    assert run.codes is not None
    assert run.codes.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert (run.count, run.number("seconds"), run.number("acceptance")) == (5, 2.5, 0.5)
    assert count_passes(run.summary) == 42
    assert closest_activations(run.summary) == []
    assert closest_activations({"closest": {"activations": [1.5, 2]}}) == [1.5, 2]
    assert math.isnan(run.number("unrelated_distance"))
    assert math.isnan(run.number("passes"))


def test_images_are_the_bytes_of_the_files_in_the_order_asked_for(written):
    folder = written()
    read = torch.cat(list(read_run(folder).images([4, 0, 2], batch=2)))
    for image, number in zip(read, (5, 1, 3), strict=True):
        with Image.open(folder / "images" / f"{number:04d}.png") as file:
            expected = torch.tensor(list(file.tobytes())).view(4, 6, 3).permute(2, 0, 1)
        assert torch.equal(image * 255, expected.float())


def test_what_may_be_missing(written):
    folder = written(passes=None, seconds="nan", acceptance="nan")
    (folder / "codes.safetensors").unlink()
    (folder / "manifest.json").unlink()
    run = read_run(folder)
    assert (run.codes, count_passes(run.summary), run.labels) == (None, None, (None,))
    assert math.isnan(run.number("seconds"))


def test_a_unit_with_a_position_has_no_class(written):
    assert read_run(written(unit="conv5:97:8:8")).labels == (None,)


@pytest.mark.parametrize("n", [0, 1])
def test_a_run_of_hardly_any_samples_is_a_run(written, n):
    run = read_run(written(n=n))
    assert run.count == n
    assert run.activations.shape == (n, 1)
    assert sum(len(batch) for batch in run.images(range(n))) == n


def _edit(name, before, after):
    def edit(folder):
        path = folder / name
        path.write_text(path.read_text().replace(before, after))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "summary.json").unlink(), "not come to its end"),
        (lambda folder: (folder / "config.yaml").write_text("n: many"), "damaged: no settings of a run"),
        (lambda folder: (folder / "summary.json").write_text("{"), r"summary\.json: damaged"),
        (lambda folder: (folder / "activations.csv").unlink(), "activations.csv: cannot be read"),
        (_edit("activations.csv", " saved", " kept"), "samples are to be numbered"),
        (_edit("activations.csv", "2,1,2,1.25,1.25,1", "2,1,2,1.25,word,1"), "a line is not as a run writes it"),
        (_edit("activations.csv", "2,1,2,1.25,1.25,1", "2,1"), "a line is not as a run writes it"),
        (_edit("activations.csv", "2,1,2,1.25,1.25,1", "2,x,2,1.25,1.25,1"), "a line is not as a run writes it"),
        (_edit("activations.csv", "2,1,2,1.25,1.25,1", "2,1,2,1.25,nan,1"), "samples are to be numbered"),
        (_edit("activations.csv", "2,1,2,1.25", "7,1,2,1.25"), "samples are to be numbered 1, 2, 3"),
        (lambda folder: (folder / "activations.csv").write_bytes(b"\xff\x00"), r"activations\.csv: damaged"),
        (_edit("summary.json", '"samples": 5', '"samples": 6'), "counts 6 samples, activations.csv 5"),
        (lambda folder: (folder / "codes.safetensors").write_bytes(b"no"), r"codes\.safetensors: damaged"),
    ],
)
def test_damaged_folders(written, damage, message):
    folder = written()
    damage(folder)
    with pytest.raises(RunFolderError, match=message):
        read_run(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), r"0003\.png: "),
        (lambda path: Image.new("RGB", (5, 5)).save(path), "another size"),
    ],
)
def test_unreadable_images(written, damage, message):
    folder = written()
    damage(folder / "images" / "0003.png")
    run = read_run(folder)
    with pytest.raises(RunFolderError, match=message):
        list(run.images(range(5)))


def test_one_size_in_all_batches(written):
    folder = written()
    for number in (3, 4, 5):
        Image.new("RGB", (5, 5)).save(folder / "images" / f"{number:04d}.png")
    batches = read_run(folder).images(range(5), batch=2)
    assert next(batches).shape == (2, 3, 4, 6)
    with pytest.raises(RunFolderError, match=r"0003\.png: damaged: it is of another size"):
        next(batches)


def test_rows_spread_in_order_of_activation():
    activations = torch.tensor([5.0, 1, 4, 2, 3])
    assert spread_rows(activations, 10) == [1, 3, 4, 2, 0]
    assert spread_rows(activations, 3) == [1, 4, 0]
    assert len(set(spread_rows(torch.rand(500, generator=torch.Generator().manual_seed(0)), 10))) == 10
