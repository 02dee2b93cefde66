"""Sweeps: one overview at their end, and going on with one that was interrupted, repeated or extended."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

from invset.cli.main import run
from invset.cli.signals import Interrupted
from invset.cli.sweep.jobs import read_jobs, settings_of
from invset.errors import RunFolderError

RANGES = ("[0.6, 0.7]", "[1.5, 2]")  # the second cannot be reached
JOBS = "0123"
COMMAND = (
    "sample", "-m", "experiment=linear", "n=8", "schedule.K=4", "seed=0,1", "range=[0.6,0.7],[1.5,2]",
    "schedule.outer_iterations=2", "schedule.inner_steps=20",
)  # fmt: skip


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was left alone, two seeds by two ranges: to be read, not written."""
    folder = tmp_path_factory.mktemp("whole")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        assert run([*COMMAND, "hydra.sweep.dir=sweep"]) == 3
    assert out.getvalue().splitlines()[-1] == "sweep/overview.png"
    return folder / "sweep"


@pytest.fixture
def sweep(finished: Path, here: Path) -> Path:
    return Path(shutil.copytree(finished, here / "sweep"))


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and times of all files."""
    return {f"{path.relative_to(folder)}": (path.read_bytes(), path.stat().st_mtime_ns) for path in found(folder)}


def found(folder: Path) -> list[Path]:
    """All files but Hydra's own, which it writes anew each time."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and ".hydra" not in path.parts)


def made(folder: Path) -> dict[str, bytes]:
    """What is the same in two equal sweeps, byte for byte."""
    kept = (".png", "codes.bin", "activations.csv", "trace.csv", "codes.safetensors", "config.yaml")
    return {
        f"{path.relative_to(folder)}": path.read_bytes()
        for path in found(folder)
        if path.name.endswith(kept) and path.name != "overview.png"
    }


def pixels(path: Path) -> bytes:
    with Image.open(path) as picture:
        return picture.convert("RGB").tobytes()


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "overview.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*arguments: object) -> None:
        raise AssertionError("networks were built")

    monkeypatch.setattr("invset.assemble.sampling.assemble", build)


def record(folder: Path, *added: str) -> None:
    """Add overrides to those that the folder says the sweep has."""
    path = folder / "multirun.yaml"
    values = yaml.safe_load(path.read_text())
    values["hydra"]["overrides"]["task"] += added
    path.write_text(yaml.safe_dump(values))


def test_the_table_says_what_the_summaries_say(finished):
    rows = table(finished)
    assert [row["run"] for row in rows] == list(JOBS)
    for index, row in enumerate(rows):
        summary = json.loads((finished / row["run"] / "summary.json").read_text())
        assert (row["units"], row["ranges"], row["seed="]) == ("output:1", RANGES[index % 2], str(index // 2))
        assert row["status"] == summary["status"] == ("unreachable" if index % 2 == 1 else "complete")
        for name in ("samples", "wanted", "near_duplicates", "gradient_steps", "seconds"):
            assert float(row[name]) == summary[name], name
        distance = summary["mean_pairwise_distance"]
        assert row["mean_pairwise_distance"] == ("" if distance is None else repr(distance))
        assert int(row["passes"]) == summary["passes"]["forward"] + summary["passes"]["backward"]
        assert [float(row["closest"])] == summary["closest"]["activations"]
        assert row["error"] == ""


def test_a_finished_sweep_is_left_as_it_is_and_no_network_is_built(invset, sweep, finished, monkeypatch):
    before = {job: files(sweep / job) for job in JOBS}
    (sweep / "overview.png").unlink()
    no_networks(monkeypatch)
    result = invset("sample", "resume=sweep")
    assert (result.code, result.err) == (3, "")
    told = ("complete", "unreachable, 0 of 8")
    lines = [f"sweep/{index}: output:1 in {RANGES[index % 2]}: done already: {told[index % 2]}" for index in range(4)]
    assert result.out.splitlines() == [*lines, "4 jobs: 2 complete, 2 unreachable", "sweep/overview.png"]
    assert {job: files(sweep / job) for job in JOBS} == before
    assert pixels(sweep / "overview.png") == pixels(finished / "overview.png")
    again = invset(*COMMAND, "hydra.sweep.dir=sweep")
    assert (again.code, again.out, again.err) == result
    assert {job: files(sweep / job) for job in JOBS} == before


@pytest.mark.parametrize("command", [("sample", "resume=sweep"), (*COMMAND, "hydra.sweep.dir=sweep")])
def test_only_what_is_missing_is_done(invset, sweep, finished, command):
    shutil.rmtree(sweep / "3")
    (sweep / "2" / "summary.json").unlink()
    shutil.rmtree(sweep / "0")
    (sweep / "0" / "images").mkdir(parents=True)  # killed as it began
    (sweep / "0" / "manifest.json").write_text("{}")
    before = files(sweep / "1")
    result = invset(*command)
    assert (result.code, result.err) == (3, "")
    assert result.out.count("done already") == 1
    assert made(sweep) == made(finished)
    assert files(sweep / "1") == before
    assert (sweep / "3" / ".hydra" / "overrides.yaml").is_file()
    assert pixels(sweep / "overview.png") == pixels(finished / "overview.png")


@pytest.mark.parametrize("fatal", [1, 14])
def test_interrupted_and_resumed(invset, here, finished, monkeypatch, fatal):
    from invset.run.journals import Journal

    real, count = Journal.append, [0]

    def append(self: Journal, lines: list) -> None:
        count[0] += 1
        if count[0] == fatal:
            raise Interrupted(signal.SIGINT)
        real(self, lines)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", append)
        result = invset(*COMMAND, "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (130, "")
    assert result.out.count("to go on") == 1
    assert result.out.splitlines()[-1] == "to go on: invset sample resume=sweep"
    assert not (here / "sweep" / "overview.png").exists()
    assert invset("sample", "resume=sweep").code == 3
    assert made(here / "sweep") == made(finished)


def test_a_process_killed(invset, here):
    command = ("sample", "-m", "experiment=linear", "n=120", "schedule.K=4", "range=[0.8,0.802],[0.85,0.852]", "seed=3")
    assert invset(*command, "hydra.sweep.dir=whole").code == 0
    process = subprocess.Popen(
        [sys.executable, "-c", "from invset.cli.main import main; main()", *command, "hydra.sweep.dir=killed"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: len(list((here / "killed" / "1" / "images").glob("*.png"))) > 8, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    result = invset("sample", "resume=killed")
    assert (result.code, result.err) == (0, "")
    assert "killed/0: output:1 in [0.8, 0.802]: done already" in result.out
    assert "going on from the last checkpoint" in result.out
    assert made(here / "killed") == made(here / "whole")


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.003)


def test_an_interruption_of_the_overview(invset, sweep, monkeypatch):
    def save(*arguments: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr("invset.cli.overview.save_picture", save)
    result = invset("sample", "resume=sweep")
    assert result.code == 143
    assert result.out.splitlines()[-1] == "to go on: invset sample resume=sweep"


def test_a_larger_n_extends_all_runs(invset, here, sweep):
    fresh = [argument if argument != "n=8" else "n=11" for argument in COMMAND]
    assert invset(*fresh, "hydra.sweep.dir=fresh").code == 3
    result = invset("sample", "resume=sweep", "n=11")
    assert (result.code, result.err) == (3, "")
    assert made(sweep) == made(here / "fresh")
    again = invset("sample", "resume=sweep")
    assert again.out.count("done already") == 4, "the sweep's record says 11 now"
    before = files(sweep)
    shrunk = invset("sample", "resume=sweep", "n=8")
    assert shrunk.code == 2
    assert "n may grow, not shrink to 8" in shrunk.err
    assert {name for name, file in files(sweep).items() if before.get(name) != file} <= {
        "multirun.yaml", "overview.png", "overview.csv", *(f"{job}/failure.txt" for job in JOBS)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (("seed=0,1,2",), "seed=0,1,2"),
        (("schedule.K=5",), "schedule.K=5"),
        (("network.name=x",), "network.name=x"),
        (("n=8,9",), "n=8,9"),
    ],
)
def test_a_sweep_of_other_settings_is_refused(invset, sweep, added, told):
    before = files(sweep)
    for command in (("sample", "resume=sweep", *added), (*COMMAND, "hydra.sweep.dir=sweep", *added)):
        result = invset(*command)
        assert (result.code, result.out) == (2, "")
        assert result.err.count("\n") == 1
        assert "holds a sweep of other settings" in result.err
        assert told in result.err
    assert files(sweep) == before


def test_a_sweep_in_another_order_is_refused(invset, sweep):
    swept = [argument for argument in COMMAND if not argument.startswith("seed")]
    result = invset(*swept, "seed=0,1", "hydra.sweep.dir=sweep")
    assert result.code == 2
    assert "Give the same, in the same order" in result.err


def test_a_folder_of_a_sweep_that_never_began_takes_another(invset, here):
    assert invset("sample", "-m", "experiment=linear", "network=linear,nosuch", "hydra.sweep.dir=sweep").code == 2
    assert (here / "sweep" / "multirun.yaml").is_file()
    result = invset("sample", "-m", "experiment=linear", "n=4", "schedule.K=4", "seed=0,1", "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (0, "")


def test_a_job_whose_folder_holds_another_run(invset, sweep):
    shutil.rmtree(sweep / "2")
    shutil.copytree(sweep / "0", sweep / "2")
    shutil.rmtree(sweep / "3")
    before = files(sweep / "2")
    result = invset("sample", "resume=sweep")
    assert result.code == 3
    assert result.err.count("\n") == 1
    assert "2 holds a run of other settings: seed is 0, not 1" in result.err
    assert {name: file for name, file in files(sweep / "2").items() if name != "failure.txt"} == before
    assert [row["status"] for row in table(sweep)] == ["complete", "unreachable", "failed", "unreachable"]
    assert table(sweep)[2]["samples"] == ""


def test_a_damaged_run(invset, sweep):
    (sweep / "0" / "images" / "0001.png").write_bytes(b"\x89PNG")
    (sweep / "0" / "images" / "0008.png").write_bytes(b"\x89PNG")
    (sweep / "1" / "summary.json").write_text("{")
    (sweep / "2" / "activations.csv").write_text("sample\n1\n")
    result = invset("overview", "sweep")
    assert (result.code, result.err) == (1, "")
    rows = table(sweep)
    assert [row["status"] for row in rows] == ["damaged", "damaged", "damaged", "unreachable"]
    assert "0001.png: damaged" in rows[0]["error"]
    assert "summary.json: damaged" in rows[1]["error"]


def test_an_overview_of_what_is_there(invset, sweep):
    """Missing, cut short, running, failed: whatever launcher ran it, and wherever it stands."""
    from invset.run.folder import RunFolder

    shutil.rmtree(sweep / "3")
    (sweep / "1" / "summary.json").unlink()
    (sweep / "2" / "failure.txt").write_text("no such thing")
    with RunFolder.reopen(sweep / "0"):
        result = invset("overview", "sweep")
    assert (result.code, result.err) == (1, "")
    assert [job.status for job in read_jobs(sweep)] == ["complete", "cut short", "failed", "missing"]
    assert [row["status"] for row in table(sweep)] == ["running", "cut short", "failed", "missing"]
    assert "4 jobs: 1 running, 1 cut short, 1 failed, 1 missing" in result.out
    assert "sweep/2: failed: no such thing" in result.out
    assert "to do what is missing: invset sample resume=sweep" in result.out
    assert invset("sample", "resume=sweep").code == 3
    assert [row["status"] for row in table(sweep)] == ["complete", "unreachable", "complete", "unreachable"]


def test_an_overview_of_no_sweep(invset, here):
    assert "there is no sweep here" in invset("overview", "nowhere").err
    assert "overview of what?" in invset("overview").err
    assert "File name too long" in invset("overview", "x" * 300).err


def test_a_record_that_does_not_say_which_jobs_there_are(invset, sweep):
    """A glob is expanded when the sweep is launched; what cannot be read is damaged."""
    record = sweep / "multirun.yaml"
    text = record.read_text()
    for task, code in (("schedule=glob(p*)", 3), ("n=[20", 1)):
        record.write_text(text.replace("task:\n", f"task:\n    - {task}\n"))
        result = invset("overview", "sweep")
        assert (result.code, result.err.count("\n")) == (code, int(code == 1)), result


def test_an_overview_that_cannot_be_written(invset, sweep):
    (sweep / "overview.png").unlink()
    (sweep / "overview.png").mkdir()
    result = invset("sample", "resume=sweep")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "overview.png: cannot be written" in result.err


def test_a_job_that_fails_on_the_way(invset, here, monkeypatch):
    from invset.core.multistart import Multistart

    step, count = Multistart.step, [0]

    def failing(self: Multistart, state):
        count[0] += 1
        if count[0] == 4:
            raise MemoryError
        return step(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Multistart, "step", failing)
        result = invset(*COMMAND, "hydra.sweep.dir=sweep")
    assert result.code == 3
    assert "to go on: invset sample resume=sweep/0" in result.out
    rows = table(here / "sweep")
    assert [row["status"] for row in rows[:3]] == ["failed", "unreachable", "complete"]
    assert rows[0]["error"].startswith("out of memory")
    assert invset("sample", "resume=sweep").code == 3
    assert table(here / "sweep")[0]["status"] == "complete"


def test_a_sweep_over_ranges_alone_has_a_row_for_each(invset, here):
    ranges = "range=[0.55,0.65],[0.6,0.8],[0.7,0.8]"
    result = invset("sample", "-m", "experiment=linear", "n=4", "schedule.K=4", ranges, "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (0, "")
    with Image.open(here / "sweep" / "overview.png") as picture:
        assert picture.width < 1000, "one column of eight images"
        assert picture.height > 3 * 96


def test_sweeps_of_one_job_and_of_no_range(invset, here):
    short = ("sample", "-m", "experiment=linear", "n=4", "schedule.K=4")
    one = invset(*short, "hydra.sweep.dir=one")
    assert (one.code, one.out.splitlines()[-1]) == (0, "one/overview.png")
    assert [row["run"] for row in table(here / "one")] == ["0"]
    assert invset(*short, "batch_size=1,4", "hydra.sweep.dir=two").code == 0
    assert [row["batch_size="] for row in table(here / "two")] == ["1", "4"]
    with Image.open(here / "one" / "overview.png") as first, Image.open(here / "two" / "overview.png") as second:
        assert second.height > first.height + 96, "a row for each, though they are the same samples"
    assert invset("sample", *short[2:], "hydra.run.dir=plain").out.splitlines()[-1] == "plain/samples.png"
    assert not (here / "plain" / "overview.png").exists()
    assert "holds a run already" in invset("sample", *short[2:], "hydra.run.dir=plain").err


def test_folders_named_otherwise(invset, here):
    named = "hydra.sweep.subdir=${hydra.job.override_dirname}"
    command = ("sample", "-m", "experiment=linear", "n=4", "schedule.K=4", "seed=0,1", "hydra.sweep.dir=a b's", named)
    command = tuple(word.replace("a b's", r"'a b\'s'") for word in command)
    assert invset(*command).code == 0
    refused = invset("sample", "resume=a b's")
    assert refused.code == 2
    assert "were named by hydra.sweep.subdir=${hydra.job.override_dirname}: give that again" in refused.err
    before = files(here / "a b's" / "seed=0")
    for again in (("sample", "resume=a b's", named), command):
        result = invset(*again)
        assert (result.code, result.err) == (0, "")
        assert result.out.count("done already") == 2
        assert files(here / "a b's" / "seed=0") == before


def test_what_a_folder_says_to_hydra_is_not_obeyed(invset, here, sweep):
    record(sweep, "hydra.sweep.dir=elsewhere", "--config-dir=elsewhere", "hydra/launcher=none", "~hydra.mode")
    result = invset("sample", "resume=sweep")
    assert (result.code, result.err) == (3, "")
    assert result.out.count("done already") == 4
    assert not (here / "elsewhere").exists()


EVIL = "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: os.mkdir\n      path: {}\n"


@pytest.mark.parametrize(
    "override",
    [
        "network.factory=nets:mine",
        "experiment={}",
        "+experiment=linear,{}",
        "schedule@hydra.launcher=paper",
        "network={{kind: custom, factory: 'os:getcwd'}}",
        "neuron=${{oc.env:HOME}}",
    ],
)
def test_what_could_run_something_is_to_be_given_again(invset, here, sweep, override):
    (here / "evil.yaml").write_text(EVIL.format(here / "made"))
    configs = Path(__file__).parents[2] / "configs" / "experiment"
    record(sweep, override.format(os.path.relpath(here / "evil", configs)))
    before = files(sweep)
    result = invset("sample", "resume=sweep", "n=30")
    assert (result.code, result.out) == (2, "")
    assert "may run code or bring settings from elsewhere. If it is yours, add " in result.err
    assert not (here / "made").exists()
    assert files(sweep) == before


@pytest.mark.parametrize("text", ["", "hydra: [\n", "hydra: {overrides: {task: 3}, sweep: {subdir: x}}\n"])
def test_a_record_that_is_damaged(invset, sweep, text):
    (sweep / "multirun.yaml").write_text(text)
    result = invset("sample", "resume=sweep")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert "multirun.yaml: damaged" in result.err


def test_a_record_that_is_gone(invset, sweep):
    (sweep / "multirun.yaml").unlink()
    refused = invset("sample", "resume=sweep")
    assert refused.code == 2
    assert "there is no run here to continue (no config.yaml), and no sweep (no multirun.yaml)" in refused.err
    assert invset(*COMMAND, "hydra.sweep.dir=sweep").out.count("done already") == 4


def test_experiments_that_bring_their_ranges(invset, here):
    (here / "mine" / "experiment").mkdir(parents=True)
    for name, low in (("a", 0.6), ("b", 0.7)):
        text = f"# @package _global_\ndefaults: [linear]\nrange: [{low}, 0.8]\nn: 4\nschedule: {{K: 4}}\n"
        (here / "mine" / "experiment" / f"{name}.yaml").write_text(text)
    result = invset("sample", "-m", "--config-dir", "mine", "experiment=a,b", "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (0, "")
    rows = table(here / "sweep")
    assert [(row["ranges"], row["experiment="]) for row in rows] == [("[0.6, 0.8]", "a"), ("[0.7, 0.8]", "b")]
    with Image.open(here / "sweep" / "overview.png") as picture:
        assert picture.width < 1000, "one column of eight images"
    assert invset("sample", "resume=sweep", "--config-dir", "mine").out.count("done already") == 2
    assert "experiment=a: there is linear" in invset("sample", "resume=sweep").err


def test_overrides_are_the_same_however_they_are_written():
    assert settings_of(["a='b:c'", "x=[1, 2]", "+y={k: 1}"]) == settings_of(["y={k:1}", "x=[1,2]", r"a=b\:c"])
    assert settings_of(["a=1", "a=2", "device=cpu", "hydra.x=1", "~hydra.y"]) == {"a": "a=2", "device": "device=cpu"}


def test_missing_jobs_are_written_as_they_were_given(invset, here):
    record = {"hydra": {"overrides": {"task": ["neuron=fc8:2,fc8:981"]}, "sweep": {"subdir": "${hydra.job.num}"}}}
    (here / "sweep").mkdir()
    (here / "sweep" / "multirun.yaml").write_text(yaml.safe_dump(record))
    assert "\nneuron=fc8:981: missing\n" in invset("overview", "sweep").out


@pytest.mark.parametrize(
    "override", ["seed=range(1,1000000000)", "seed=shuffle(range(0,1e12,0.1))", "seed=range(-inf,1)"]
)
def test_a_record_of_endless_jobs(tmp_path, override):
    (tmp_path / "multirun.yaml").write_text(f"hydra: {{overrides: {{task: ['{override}']}}, sweep: {{subdir: x}}}}\n")
    with pytest.raises(RunFolderError, match=r"multirun\.yaml: damaged: a sweep of 100000 jobs or more"):
        read_jobs(tmp_path)
