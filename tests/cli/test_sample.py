"""A run end to end: what the folder holds is measured again, with no help from what wrote it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from invset import __version__
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit


def pictures(folder: Path, numbers: list[int]) -> torch.Tensor:
    """Read without invset's own reader."""
    arrays = [np.asarray(Image.open(folder / "images" / f"{number:04d}.png")) for number in numbers]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 255


def by_step(lines: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """Samples that were read together: the bits of a network's output may depend on the batch."""
    return [list(group) for _, group in itertools.groupby(lines, key=lambda line: line["step"])]


@pytest.fixture(scope="module")
def reader() -> Reader:
    network = build_network("mini")
    return Reader(network, [parse_unit("fc8:goldfish", network)], Encoder(network, "fc6"))


def test_the_folder(mini_run):
    assert {path.name for path in mini_run.iterdir()} == {
        ".hydra", ".lock", "activations.csv", "checkpoint.safetensors",
        "checkpoint.flushed.safetensors", "checksums.bin", "codes.bin", "codes.safetensors", "config.yaml",
        "coverage.csv", "images", "manifest.json", "samples.png", "summary.json", "trace.csv",
    }  # fmt: skip
    assert sorted(path.name for path in (mini_run / "images").iterdir()) == [f"{i:04d}.png" for i in range(1, 15)]
    with Image.open(mini_run / "samples.png") as picture:
        assert min(picture.size) > 100
    config = yaml.safe_load((mini_run / "config.yaml").read_text())
    assert (config["n"], config["schedule"]["K"], config["network"]["kind"]) == (14, 4, "mini")


def test_every_image_lies_in_the_range_and_measures_what_is_written(mini_run, rows, reader):
    lines = rows(mini_run / "activations.csv")
    assert [line["sample"] for line in lines] == [str(i) for i in range(1, 15)]
    assert list(lines[0]) == ["sample", "chain", "step", "fc8:2 computed", "fc8:2 saved", "in_range"]
    for group in by_step(lines):
        with torch.no_grad():
            _, measured = reader(pictures(mini_run, [int(line["sample"]) for line in group]))
        for line, value in zip(group, measured[:, 0].tolist(), strict=True):
            assert 50 <= value <= 60
            # float32 written in full; another batch, thread count or processor may change its last bits
            assert value == pytest.approx(float(line["fc8:2 saved"]), rel=1e-5)
            assert float(line["fc8:2 computed"]) == pytest.approx(float(line["fc8:2 saved"]), rel=1e-5)
            assert line["in_range"] == "1"


def test_the_trace_has_a_line_for_each_chain_and_step(mini_run, rows):
    lines = rows(mini_run / "trace.csv")
    summary = json.loads((mini_run / "summary.json").read_text())
    assert list(lines[0]) == [
        "step", "phase", "outer", "chain", "fc8:2 activation", "fc8:2 violation", "fc8:2 lambda", "mu", "length",
        "accepted",
    ]  # fmt: skip
    steps = summary["gradient_steps"]
    expected = [(str(step), str(chain)) for step in range(steps) for chain in range(1, 5)]
    assert [(line["step"], line["chain"]) for line in lines] == expected
    for line in lines:
        f, violation = float(line["fc8:2 activation"]), float(line["fc8:2 violation"])
        assert violation == pytest.approx(max(50 - f, f - 60, 0), abs=1e-4)
        assert (line["accepted"] == "1") == (50 <= f <= 60)
        assert float(line["length"]) >= 0
    phases = [line["phase"] for line in lines]
    assert phases == sorted(phases, key=["seeding", "sampling"].index)
    frozen = {(line["chain"], line["fc8:2 lambda"], line["mu"]) for line in lines if line["phase"] == "sampling"}
    assert len(frozen) == 4, "lambda* and mu* stay as the seeds left them"


def test_the_manifest(mini_run, mini):
    manifest = json.loads((mini_run / "manifest.json").read_text())
    assert manifest["invset"] == __version__
    assert manifest["overrides"] == list(mini[1:])
    assert manifest["units"] == ["fc8:2 goldfish"]
    assert manifest["random_seed"] == 0
    assert manifest["packages"]["torch"] == torch.__version__
    assert manifest["python"] == ".".join(map(str, sys.version_info[:3]))
    files = [*build_network("mini").files, *build_generator("mini").files]
    assert manifest["weights"] == [
        {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files
    ]
    assert manifest["started"] <= manifest["ended"]
    assert manifest["seconds"] > 0


def test_the_figures_follow_from_the_files(mini_run, rows, reader):
    summary = json.loads((mini_run / "summary.json").read_text())
    lines, trace = rows(mini_run / "activations.csv"), rows(mini_run / "trace.csv")
    sampling = [line for line in trace if line["phase"] == "sampling"]
    first = int(sampling[0]["step"])
    assert summary["status"] == "complete"
    assert summary["samples"] == summary["wanted"] == summary["candidates"] == len(lines) == 14
    assert summary["in_range_as_saved"] == 1
    of_seeds = {"seed_steps", "sampling_steps", "minimum_sampling_steps", "outer_iterations"}
    assert not summary.keys() & {*of_seeds, "plateau", "gain"}, "of a method that has none, and a run not asked for one"
    after = [line for line in sampling if int(line["step"]) > first]
    assert summary["acceptance"] == pytest.approx(sum(line["accepted"] == "1" for line in after) / len(after))
    with torch.no_grad():
        encodings, _ = reader(pictures(mini_run, list(range(1, 15))))
    distances = np.linalg.norm(encodings.numpy()[:, None] - encodings.numpy()[None], axis=2)
    pairs = [distances[i, j] for i in range(14) for j in range(i)]
    assert summary["mean_pairwise_distance"] == pytest.approx(np.mean(pairs), rel=1e-4)
    near = 0.1 * summary["unrelated_distance"]
    assert summary["near_duplicates"] == sum((distances[i, :i] < near).any() for i in range(1, 14))
    assert summary["near_duplicate_share"] == pytest.approx(summary["near_duplicates"] / 14)
    steps = summary["gradient_steps"]
    assert summary["passes"]["backward"] >= 4 * steps
    # each step once forward; before them 64 references, a start or more for each chain, and the encodings' size
    assert summary["passes"]["forward"] >= 4 * steps + 64
    assert summary["passes"]["forward_of_saved_images"] == 14
    codes = load_file(mini_run / "codes.safetensors")["codes"]
    assert summary["codes"]["lowest"] == pytest.approx(float(codes.min()))
    assert summary["codes"]["highest"] == pytest.approx(float(codes.max()))
    assert summary["codes"]["mean_norm_of_first_tenth"] == pytest.approx(float(codes[0].norm()), rel=1e-5)


def test_the_codes_give_the_images(mini_run, rows):
    codes = load_file(mini_run / "codes.safetensors")["codes"]
    assert codes.shape == (14, build_generator("mini").code_size)
    assert codes.dtype == torch.float32
    generate = build_generator("mini").module
    for group in by_step(rows(mini_run / "activations.csv")):
        numbers = [int(line["sample"]) for line in group]
        with torch.no_grad():
            images = generate(codes[[number - 1 for number in numbers]]).clamp(0, 1)
        levels = (images * 255).round() - pictures(mini_run, numbers) * 255
        # one level at most, where another batch rounds to the other side
        assert levels.abs().max() < 1.5
        assert (levels.abs() > 0.5).float().mean() < 1e-3


def test_the_codes_of_a_linear_model_are_its_images_exactly(linear_run):
    codes = load_file(linear_run / "codes.safetensors")["codes"].view(-1, 3, 8, 8)
    assert torch.equal((codes.clamp(0, 1) * 255).round(), pictures(linear_run, list(range(1, 23))) * 255)


def test_same_seed_same_bytes_and_another_seed_differs(invset, here, linear, linear_run, mini, mini_run, results):
    assert invset(*linear, "hydra.run.dir=again").code == 0
    assert results(here / "again") == results(linear_run)
    assert invset(*mini, "n=4", "hydra.run.dir=mini").code == 0
    for number in range(1, 5):
        name = f"images/{number:04d}.png"
        assert (here / "mini" / name).read_bytes() == (mini_run / name).read_bytes()
    assert invset(*linear, "seed=1", "hydra.run.dir=other").code == 0
    ours, others = results(linear_run), results(here / "other")
    assert not any(ours[name] == others[name] for name in ours if name.startswith("images/"))


def test_batches_change_nothing(invset, here, linear, linear_run, mini, rows):
    """But for last bits, which a convolution in another batch rounds otherwise.

    In mini such a bit may tip a pixel of 8, a ReLU or the winner of a maximum, and with it a thousandth of a gradient:
    there the first step is the same, and later ones part. In float64 the gradients are the same to 3e-16.
    """
    assert invset(*linear, "batch_size=3", "hydra.run.dir=linear").code == 0
    codes = [load_file(folder / "codes.safetensors")["codes"] for folder in (linear_run, here / "linear")]
    torch.testing.assert_close(*codes, rtol=0, atol=1e-4)
    traces = []
    for folder, batch in (("whole", "null"), ("threes", "3")):
        invset(*mini, "n=4", "pixels=raw", f"batch_size={batch}", f"hydra.run.dir={folder}")
        traces.append(rows(here / folder / "trace.csv")[:4])
    for one, other in zip(*traces, strict=True):
        assert float(one["fc8:2 activation"]) == pytest.approx(float(other["fc8:2 activation"]), abs=1e-3)


def test_raw_pixels_count_only_as_saved(invset, here, rows):
    """A range narrower than what 8 bits move: some candidates leave it when they are saved."""
    arguments = ("experiment=linear", "pixels=raw", "range=[0.8,0.802]", "n=20", "schedule.K=4")
    result = invset("sample", *arguments, "hydra.run.dir=run")
    lines = rows(here / "run" / "activations.csv")
    summary = json.loads((here / "run" / "summary.json").read_text())
    good = [line for line in lines if line["in_range"] == "1"]
    bad = [line for line in lines if line["in_range"] == "0"]
    assert bad
    assert all(0.8 <= float(line["output:1 computed"]) <= 0.802 for line in lines)
    assert all(line["sample"] == "" for line in bad)
    assert not any(0.8 <= float(line["output:1 saved"]) <= 0.802 for line in bad)
    assert [line["sample"] for line in good] == [str(i) for i in range(1, len(good) + 1)]
    assert {path.name for path in (here / "run" / "images").iterdir()} == {
        f"{i:04d}.png" for i in range(1, len(good) + 1)
    }
    assert summary["samples"] == len(good)
    assert summary["candidates"] == len(lines)
    assert summary["in_range_as_saved"] == pytest.approx(len(good) / len(lines))
    assert result.code == (0 if len(good) == 20 else 3)
    assert len(load_file(here / "run" / "codes.safetensors")["codes"]) == len(good)
    network = build_network("linear")
    saved = Reader(network, [parse_unit("output:1", network)])(pictures(here / "run", list(range(1, len(good) + 1))))[1]
    assert saved[:, 0].tolist() == pytest.approx([float(line["output:1 saved"]) for line in good], rel=1e-6)


def test_two_units_of_different_layers(invset, here, rows):
    result = invset(
        "sample", "neuron=[fc8:goldfish,fc7:12]", "range=[[40,120],[-1,30]]", "n=4", "schedule.K=4", "hydra.run.dir=run"
    )
    assert result.code == 0, result.err
    assert "fc8:2 goldfish in [40, 120] and fc7:12 in [-1, 30]" in result.out
    for line in rows(here / "run" / "activations.csv"):
        assert 40 <= float(line["fc8:2 saved"]) <= 120
        assert -1 <= float(line["fc7:12 saved"]) <= 30


def test_method_full(invset, here, rows):
    result = invset("sample", "experiment=linear", "method=full", "n=12", "schedule.K=4", "hydra.run.dir=run")
    assert result.code == 0, result.err
    lines = rows(here / "run" / "activations.csv")
    assert sorted(int(line["chain"]) for line in lines) == list(range(1, 13))


def test_constraint_lower_has_no_upper_end(invset, here, linear, rows):
    result = invset(*linear, "n=8", "constraint=lower", "range=[0.7,0.72]", "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert "output:1 >= 0.7" in result.out
    saved = [float(line["output:1 saved"]) for line in rows(here / "run" / "activations.csv")]
    assert min(saved) >= 0.7
    assert max(saved) > 0.72


def test_what_is_said(invset, here, linear):
    result = invset(*linear, "hydra.run.dir=run")
    title, counts, distinct, where = result.out.splitlines()
    assert result.err == ""
    assert title == "output:1 in [0.7, 0.9]"
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert re.fullmatch(r"22 of 22 samples in range, \d\.\d s", counts)
    assert distinct == f"{summary['coverage']['new']} distinct images", "of so few nobody knows whether more would come"
    assert where == "run/samples.png"
    assert not (here / "run" / "seeds.png").exists(), "chains are not in range at once"


def test_the_papers_method_shows_its_seeds(invset, here, linear):
    result = invset(*linear, "method=paper", "hydra.run.dir=run")
    assert result.code == 0, result.err
    with Image.open(here / "run" / "seeds.png") as picture:
        assert min(picture.size) > 100


def test_a_range_that_cannot_be_reached(invset, here, linear):
    result = invset(*linear, "range=[1.5,2]", "hydra.run.dir=run")
    assert result.code == 3
    assert result.err == ""
    assert "the range was not reached: the closest code gave output:1 1 (wanted [1.5, 2])" in result.out
    assert "invset probe neuron=output:1" in result.out
    lower = invset(*linear, "range=[1.5,2]", "constraint=lower", "hydra.run.dir=lower")
    assert "output:1 1 (wanted >= 1.5)" in lower.out
    (instead,) = [line for line in result.out.splitlines() if line.startswith("what it came past on its way: ")]
    again = invset(*shlex.split(instead.partition(": ")[2])[1:], "hydra.run.dir=again")
    assert again.code == 0, instead
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert (summary["status"], summary["samples"]) == ("unreachable", 0)
    assert summary["closest"]["activations"] == pytest.approx([1], abs=0.01)
    assert summary["closest"]["violation"] == pytest.approx(0.5 / 0.25, rel=0.05)
    assert (here / "run" / "seeds.png").is_file()
    assert not (here / "run" / "samples.png").exists()


def _poisoned(monkeypatch, after: int) -> None:
    """From some forward pass on, the model gives NaN."""
    from invset.models.linear import LinearModel

    calls = [0]

    def forward(self, images):
        calls[0] += 1
        logit = self.logit(images.flatten(1))
        return self.output(logit * math.nan if calls[0] > after else logit)

    monkeypatch.setattr(LinearModel, "forward", forward)


def test_nan_is_told_and_what_there_is_stays(invset, here, linear, monkeypatch, rows, results, linear_run):
    with monkeypatch.context() as patch:
        _poisoned(patch, after=20)
        result = invset(*linear, "hydra.run.dir=run")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert result.err.startswith("invset: ")
    assert "NaN" in result.err
    assert "to go on: invset sample resume=run" in result.out
    count = len(list((here / "run" / "images").iterdir()))
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert 0 < count < 22
    assert (summary["status"], summary["samples"]) == ("failed", count)
    assert len(load_file(here / "run" / "codes.safetensors")["codes"]) == count
    assert invset("sample", "resume=run").code == 0  # the weights are mended
    assert results(here / "run") == results(linear_run)


def test_a_text_of_the_environment_where_a_number_belongs(invset, here, linear):
    result = invset(*linear, "seed=${oc.env:HOME}")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert result.err.startswith("invset: seed: ")


def test_nan_from_the_start(invset, here, linear, monkeypatch):
    _poisoned(monkeypatch, after=1)  # the first pass measures shapes
    result = invset(*linear, "hydra.run.dir=run")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "NaN" in result.err
    assert "seeds.png" not in result.out, "there is none"


@pytest.mark.parametrize("full", ["activations.csv", "trace.csv", "codes.bin", "checkpoint.safetensors", "images"])
def test_a_full_disk(invset, here, linear, linear_run, monkeypatch, results, full):
    import errno
    import os

    real, real_bytes, written = os.write, Path.write_bytes, [0]

    def fill(path: Path) -> None:
        written[0] += full in str(path.relative_to(here))
        if written[0] > 4:
            raise OSError(errno.ENOSPC, "No space left on device")

    def write(file: int, data: bytes) -> int:
        fill(Path(f"/proc/self/fd/{file}").readlink())
        return real(file, data)

    def write_bytes(path: Path, data: bytes) -> int:
        fill(path.resolve())
        return real_bytes(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        patch.setattr(Path, "write_bytes", write_bytes)
        result = invset(*linear, "hydra.run.dir=run")
    assert result.code == 1
    assert result.err.count("\n") == 1, result.err
    assert "No space left on device" in result.err
    assert "make room on the disk" in result.err
    assert invset("sample", "resume=run").code == 0
    assert results(here / "run") == results(linear_run)


def test_steps_for_seeds_and_after_them(invset, here, linear, rows):
    assert invset(*linear, "method=paper", "hydra.run.dir=run").code == 0
    summary = json.loads((here / "run" / "summary.json").read_text())
    steps = [int(line["step"]) for line in rows(here / "run" / "trace.csv") if line["phase"] == "sampling"]
    assert summary["seed_steps"] == steps[0]
    assert summary["sampling_steps"] == steps[-1] - steps[0]
    assert summary["minimum_sampling_steps"] == math.ceil((22 - 4) / 4)
    assert summary["outer_iterations"] == steps[0] // 100


def test_images_of_a_folder_to_start_from(invset, here, mini, mini_run):
    """starts=auto is near, which starts between two of their codes: as if it had been said."""
    (here / "pictures").mkdir()
    for number in range(1, 7):
        (here / "pictures" / f"{number}.png").write_bytes((mini_run / "images" / f"{number:04d}.png").read_bytes())
    for name, starts in (("auto", ()), ("near", ("starts=near",))):
        result = invset(*mini, "n=6", "range=[30,40]", "folder=pictures", *starts, f"hydra.run.dir={name}")
        assert (result.code, result.err) == (0, "")
    configs = [yaml.safe_load((here / name / "config.yaml").read_text()) for name in ("auto", "near")]
    assert configs[0] == configs[1]
    assert configs[0]["starts"] == "near"
    codes = [(here / name / "codes.safetensors").read_bytes() for name in ("auto", "near")]
    assert codes[0] == codes[1] != (mini_run / "codes.safetensors").read_bytes()


def test_a_finished_run_that_is_extended_says_from_where(invset, here, linear):
    """A step may give more than were wanted: it is done again, for a run that wanted more is to be the same."""
    from invset.run.checkpoint import load

    said = set()
    for n in range(9, 15):
        assert invset(*linear[:2], "schedule.K=4", f"n={n}", f"hydra.run.dir={n}").code == 0
        _, meta = load(here / str(n) / "checkpoint.safetensors")
        lines = invset("sample", f"resume={n}", "n=16").out.splitlines()
        told = f"going on from the last checkpoint, with {meta['tally.samples']} samples"
        if meta["tally.samples"] < n:
            told += f"; the step that gave those up to {n} is done again, for the same and more"
        assert lines[1] == told
        said.add(meta["tally.samples"] < n)
    assert said == {True, False}
    images = [[file.read_bytes() for file in sorted((here / str(n) / "images").iterdir())] for n in range(9, 15)]
    assert all(of_one == images[0] for of_one in images)
