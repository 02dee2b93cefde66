"""A run that was interrupted, killed or finished goes on to the bytes of one that was left alone (issue, sec. 4)."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from safetensors.torch import load_file, save_file

from invset.cli.overrides import quote
from invset.models.mini import DATA

CALLS = ("write", "replace", "truncate", "unlink", "ftruncate", "mkdir", "rename")
# A narrow range, so that there is seeding to be killed in.
SLOW = ("sample", "experiment=linear", "n=26", "schedule.K=4", "range=[0.85,0.852]", "seed=3")
VARYING = ("seconds", "peak_memory_bytes")


class Killed(BaseException):
    """Stands for SIGKILL: after it the process does nothing more."""


def deadly(monkeypatch: pytest.MonkeyPatch, folder: Path, fatal: int) -> list[int]:
    """The call of that number to the operating system, once the run's folder is there, is the last that works."""
    count = [0]

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            if folder.is_dir():
                count[0] += 1
            if count[0] == fatal and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])  # type: ignore[arg-type]
            if count[0] >= fatal > 0:
                raise Killed
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    for name in CALLS:
        wrap(name)
    return count


def summary(folder: Path) -> dict:
    values = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in values.items() if key not in VARYING}


@pytest.mark.parametrize("method", ["paper", "multistart"])
def test_killed_at_ten_random_moments(invset, here, monkeypatch, results, method):
    whole = here / "whole"
    with monkeypatch.context() as patch:
        total = deadly(patch, whole, -1)
        assert invset(*SLOW, f"method={method}", f"hydra.run.dir={whole}").code == 0
    assert method == "multistart" or summary(whole)["seed_steps"] > 5
    dice = random.Random(0)
    share = total[0] // 10
    moments = [dice.randint(2, 6), *(dice.randint(share * i, share * (i + 1)) for i in range(1, 10))]
    for moment in moments:
        folder = here / f"killed{moment}"
        with monkeypatch.context() as patch:
            deadly(patch, folder, moment)
            with pytest.raises(Killed):
                invset(*SLOW, f"method={method}", f"hydra.run.dir={folder}")
        if (folder / "config.yaml").exists():
            if method == "paper" and dice.random() < 0.5:  # killed again on the way back
                with monkeypatch.context() as patch:
                    deadly(patch, folder, dice.randint(1, 20))
                    with pytest.raises(Killed):
                        invset("sample", f"resume={folder}")
            result = invset("sample", f"resume={folder}")
        else:
            refused = invset("sample", f"resume={folder}")
            assert refused.code == 2
            assert "started anew" in refused.err
            result = invset(*SLOW, f"method={method}", f"hydra.run.dir={folder}")
        assert (result.code, result.err) == (0, ""), f"killed at call {moment}"
        assert results(folder) == results(whole), f"killed at call {moment}"
        assert summary(folder) == summary(whole), f"killed at call {moment}"
        assert not list(folder.rglob("*.tmp"))


def started(folder: Path, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from invset.cli.main import main; main()", *arguments,
         f"hydra.run.dir={folder}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.003)


def images(folder: Path) -> int:
    return len(list((folder / "images").glob("[0-9]*.png")))


def test_three_processes_killed(invset, here, results):
    arguments = (*SLOW, "n=200")
    whole = here / "whole"
    assert invset(*arguments, f"hydra.run.dir={whole}").code == 0
    moments: dict[str, Callable[[Path], bool]] = {
        "start": lambda folder: (folder / "config.yaml").exists(),
        "seeding": lambda folder: (folder / "checkpoint.safetensors").exists(),
        "sampling": lambda folder: images(folder) > 20,
    }
    for name, moment in moments.items():
        folder = here / name
        process = started(folder, arguments)
        wait_for(lambda moment=moment, folder=folder: moment(folder), process)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert invset("sample", f"resume={folder}").code == 0
        assert results(folder) == results(whole), name


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(invset, here, results, number, code):
    folder = here / "run"
    process = started(folder, (*SLOW, "n=3000"))
    wait_for(lambda: images(folder) >= 8, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err == ""
    assert "to go on: invset sample resume=run" in out or f"to go on: invset sample resume={folder}" in out
    written = summary(folder)
    assert written["status"] == "interrupted"
    assert 0 < written["samples"] == images(folder), "what was not measured to the end is no sample"
    assert (folder / "samples.png").is_file()
    assert (folder / "codes.safetensors").is_file()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["n"] == 3000


def test_interrupted_and_resumed_in_a_process_is_the_same_run(invset, here, monkeypatch, results, linear_run, linear):
    """At every step of the way, the signal comes where it can do most harm: within the writing of a sample."""
    from invset.cli.signals import Interrupted
    from invset.run.journals import Journal

    real = Journal.append
    for fatal in (1, 6, 9, 10):
        count = [0]

        def append(self, lines, count=count, fatal=fatal):
            count[0] += 1
            if count[0] == fatal:
                raise Interrupted(signal.SIGTERM)
            real(self, lines)

        folder = here / str(fatal)
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", append)
            result = invset(*linear, f"hydra.run.dir={folder}")
        assert (result.code, result.err) == (143, "")
        assert f"to go on: invset sample resume={fatal}" in result.out
        assert invset("sample", f"resume={folder}").code == 0
        assert results(folder) == results(linear_run), fatal


def test_extending_a_finished_run_equals_a_longer_one(invset, here, copied, linear_run, linear, results):
    folder = copied(linear_run)
    assert invset(*linear, "n=41", "hydra.run.dir=fresh").code == 0
    result = invset("sample", f"resume={folder}", "n=41")
    assert (result.code, result.err) == (0, "")
    assert "41 of 41 samples" in result.out
    assert results(folder) == results(here / "fresh")
    assert summary(folder) == summary(here / "fresh")
    assert (folder / "config.yaml").read_bytes() == (here / "fresh" / "config.yaml").read_bytes()


def test_an_extension_that_is_killed_goes_on_by_itself(invset, here, copied, linear_run, linear, monkeypatch, results):
    folder = copied(linear_run)
    assert invset(*linear, "n=41", "hydra.run.dir=fresh").code == 0
    with monkeypatch.context() as patch:
        deadly(patch, folder, 20)
        with pytest.raises(Killed):
            invset("sample", f"resume={folder}", "n=41")
    assert images(folder) < 41
    result = invset("sample", f"resume={folder}")
    assert result.code == 0
    assert "41 of 41 samples" in result.out
    assert results(folder) == results(here / "fresh")


def test_an_extended_mini_run_keeps_its_samples(invset, copied, mini_run):
    folder = copied(mini_run)
    assert invset("sample", f"resume={folder}", "n=16").code == 0
    assert images(folder) == 16
    for image in (mini_run / "images").iterdir():
        assert image.read_bytes() == (folder / "images" / image.name).read_bytes()


def test_a_finished_run_whose_files_are_lost_is_mended(invset, copied, linear_run, results):
    folder = copied(linear_run)
    (folder / "images" / "0003.png").unlink()
    (folder / "images" / "0007.png").write_bytes(b"")
    (folder / "images" / "0022.png").unlink()
    (folder / "samples.png").unlink()
    result = invset("sample", f"resume={folder}")
    assert (result.code, result.err) == (0, "")
    assert "made again from their codes" in result.out
    assert results(folder) == results(linear_run)
    assert (folder / "samples.png").read_bytes() == (linear_run / "samples.png").read_bytes()
    (folder / "checkpoint.safetensors").write_bytes(b"x")
    (folder / "codes.safetensors").unlink()
    result = invset("sample", f"resume={folder}")
    assert "lost in part, and is done again" in result.out
    assert results(folder) == results(linear_run)


def test_a_finished_run_is_left_as_it_is(invset, copied, linear_run):
    folder = copied(linear_run)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = invset("sample", f"resume={folder}")
    assert (result.code, result.err) == (0, "")
    assert "this run has all its 22 samples; nothing to do" in result.out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("seed=1",), "seed is 0, not 1"),
        (("range=[0.5,0.6]",), "range is [0.7, 0.9], not [0.5, 0.6]"),
        (("schedule.K=5", "n=30"), "schedule.K is 4, not 5"),
        (("method=paper",), "method.name is multistart, not paper"),
        (("n=21",), "n may grow, not shrink to 21"),
    ],
)
def test_another_config_is_refused(invset, copied, linear_run, changes, told):
    folder = copied(linear_run)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = invset("sample", f"resume={folder}", *changes)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert told in result.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_same_config_may_be_repeated(invset, copied, linear_run):
    folder = copied(linear_run)
    assert invset("sample", f"resume={folder}", "seed=0", "range=[0.7,0.9]", "n=24").code == 0


@pytest.mark.parametrize(
    ("damage", "code", "told"),
    [
        (lambda folder: shutil.rmtree(folder), 2, "there is no run here to continue"),
        (lambda folder: (folder / "config.yaml").unlink(), 2, "there is no run here to continue"),
        (lambda folder: (folder / "manifest.json").unlink(), 1, "manifest.json: cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{"), 1, "manifest.json: damaged"),
        (lambda folder: (folder / "trace.csv").write_text("step\n"), 1, "bytes are not as they were written"),
        (lambda folder: (folder / "config.yaml").write_text("n: [\n"), 1, "config.yaml: damaged"),
        (lambda folder: (folder / "config.yaml").write_text("- 3\n"), 1, "config.yaml: damaged"),
        (lambda folder: (folder / "config.yaml").write_text("seed: x\n"), 1, "seed=x: give a whole number"),
    ],
)
def test_a_folder_that_is_none_or_damaged(invset, copied, linear_run, damage, code, told):
    folder = copied(linear_run)
    damage(folder)
    result = invset("sample", f"resume={folder}", "n=30")
    assert result.err.count("\n") == 1, result.err
    assert told in result.err
    assert result.code == code


def test_a_folder_with_an_awkward_name(invset, here, linear_run):
    folder = here / "it's a (run), no. 1=2"
    shutil.copytree(linear_run, folder)
    result = invset("sample", f"resume={folder}", "n=24")
    assert (result.code, result.err) == (0, "")
    assert images(folder) == 24


def test_a_run_that_is_being_written(invset, copied, linear_run):
    from invset.run.folder import RunFolder

    folder = copied(linear_run)
    with RunFolder.reopen(folder):
        result = invset("sample", f"resume={folder}", "n=30")
    assert result.code == 1
    assert "another process is writing this run" in result.err


def test_probe_has_no_resume(invset):
    assert "there is no setting 'resume'" in invset("probe", "resume=x").err


def test_other_weights_are_refused_and_other_threads_are_said(invset, here):
    folder = here / "run"
    assert invset("sample", "n=6", "schedule.K=3", "range=[20,30]", f"hydra.run.dir={folder}").code == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["file"] for entry in manifest["weights"]][1] == "generator.safetensors"
    whole = manifest | {"threads": manifest["threads"] + 1}
    (folder / "manifest.json").write_text(json.dumps(whole))
    longer = invset("sample", f"resume={folder}", "n=7", "batch_size=2")
    assert longer.code == 0
    assert "the last bits of samples may differ: threads" in longer.out
    manifest["weights"][1]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused = invset("sample", f"resume={folder}", "n=8")
    assert refused.code == 2
    assert "other weights (generator.safetensors" in refused.err


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried"), MemoryError()])
def test_out_of_memory_keeps_what_there_is(invset, here, monkeypatch, error):
    from invset.core.paper import Paper

    step, folder = Paper.step, here / "run"

    def failing(self: Paper, state):
        if state.step == 12:
            raise error
        return step(self, state)

    arguments = ("sample", "experiment=linear", "method=paper", "n=40", "schedule.K=4", f"hydra.run.dir={folder}")
    with monkeypatch.context() as patch:
        patch.setattr(Paper, "step", failing)
        result = invset(*arguments)
    assert result.code == 1
    assert "out of memory" in result.err
    assert "to go on: invset sample resume=" in result.out
    assert invset("sample", f"resume={folder}").code == 0
    assert summary(folder)["samples"] == 40


@pytest.mark.parametrize("method", ["paper", "multistart"])
def test_groups_of_chains_are_gone_on_with(invset, here, method):
    """Of 3 groups of 4: a run that was left early has the bytes of one that was not, and all groups have samples."""
    common = ("sample", "experiment=linear", f"method={method}", "schedule.K=4", "schedule.groups=3")
    assert invset(*common, "n=60", "hydra.run.dir=whole").code == 0
    assert invset(*common, "n=25", "hydra.run.dir=left").code == 0
    assert invset("sample", "resume=left", "n=60").code == 0
    for name in ("activations.csv", "trace.csv", "codes.safetensors"):
        assert (here / "left" / name).read_bytes() == (here / "whole" / name).read_bytes()
    with (here / "whole" / "activations.csv").open() as file:
        chains = {int(row["chain"]) for row in csv.DictReader(file)}
    assert chains == set(range(1, 13))


def test_memory_that_runs_out_halves_batches_and_the_run_goes_on(invset, here, monkeypatch):
    """After a few steps no more than 3 codes fit; in another process, no more at once than its checkpoint says."""
    from invset.core.problem import Pipeline

    through, seen = Pipeline.__call__, []

    def cramped(self: Pipeline, codes):
        if len(codes) > 3 and sum(seen) > 60:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes")
        seen.append(len(codes))
        return through(self, codes)

    common = ("sample", "experiment=linear", "schedule.K=8")
    assert invset(*common, "n=40", "hydra.run.dir=whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "__call__", cramped)
        result = invset(*common, "n=40", "hydra.run.dir=run")
        assert result.code == 0
        assert result.out.count("memory ran out: from here on 2 at a time") == 1
        assert "memory ran out" not in invset("sample", "resume=run", "n=50").out
    assert max(seen[-20:]) == 2
    assert summary(here / "run")["largest_batch"] == 2
    assert summary(here / "run")["samples"] == 50
    assert summary(here / "whole")["largest_batch"] is None
    whole, ours = ((here / name / "activations.csv").read_text().splitlines() for name in ("whole", "run"))
    for line, other in zip(ours[1:30], whole[1:30], strict=True):
        assert line.split(",")[:3] == other.split(",")[:3]
        assert [float(x) for x in line.split(",")[3:]] == pytest.approx(
            [float(x) for x in other.split(",")[3:]], abs=1e-4
        )


WIDE = ("range=[-1000,1000]", "n=4", "schedule.K=2")
NETS = """
import torch

def mine(out=4):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, out))
"""


def test_a_function_runs_again_only_if_it_is_named_again(invset, here):
    """A folder of a run may be somebody else's."""
    (here / "nets.py").write_text(NETS)
    own = ("network=custom", "network.factory=nets:mine", "network.options.size=8", "generator=pixels", "encoder=none")
    pixels = ("generator.options.shape=[3,8,8]", "neuron=logits:3")
    try:
        assert invset("sample", *own, *pixels, *WIDE, "hydra.run.dir=run").code == 0
        refused = invset("sample", "resume=run", "n=6")
        assert refused.code == 2
        assert "If it is yours, run it by adding network.factory=nets:mine" in refused.err
        assert invset("sample", "resume=run", "n=6", "network.factory=nets:mine").code == 0
        (here / "nets.py").write_text(NETS.replace("out=4", "out=5"))
        sys.modules.pop("nets")
        other = invset("sample", "resume=run", "n=8", "network.factory=nets:mine")
        assert other.code == 2
        assert "was made with other weights" in other.err
    finally:
        sys.modules.pop("nets", None)


def test_weights_may_have_moved_and_have_to_be_the_same(invset, here):
    first, second = here / "a.safetensors", here / "b.safetensors"
    shutil.copy(DATA / "generator.safetensors", first)
    assert invset("sample", *WIDE, "generator.weights=a.safetensors", "hydra.run.dir=run").code == 0
    first.rename(second)
    assert "there is no such file" in invset("sample", "resume=run", "n=6").err
    moved = invset("sample", "resume=run", "n=6", "generator.weights=b.safetensors")
    assert moved.code == 0, moved.err
    tensors = load_file(second)
    tensors["low.bias"] += 1e-3
    save_file(tensors, here / "c.safetensors")
    changed = invset("sample", "resume=run", "n=8", "generator.weights=c.safetensors")
    assert changed.code == 2
    assert "was made with other weights (b.safetensors" in changed.err or "(a.safetensors" in changed.err


@pytest.mark.parametrize("text", ["a b", "it's", "a\\b", "end\\", "\\'", "\\\\'x\\\\", "x=1,[2]", "'", "ü\\\\ "])
def test_any_text_is_quoted_so_that_hydra_reads_it_as_it_is(text):
    override = OverridesParser.create().parse_override(f"key={quote(text)}")
    assert override.value() == text
