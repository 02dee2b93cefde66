"""Sweeps whose jobs run in processes of their own: one that fails, or is killed, neither stops nor hides the others."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from invset.cli.labelled import Labelled
from invset.cli.launching import OURS, installed
from invset.run.files import read_json

NETS = """\
import os, pathlib, signal, torch
from torch import nn


def lives():
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 2))


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


class Slow(nn.Module):
    passes = 0

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-0.5, 0.5, 96).reshape(2, 48))

    def forward(self, images):
        Slow.passes += 1
        if Slow.passes == 20 and not pathlib.Path("stopped").exists():
            pathlib.Path("stopped").touch()
            os.kill(os.getpid(), signal.SIGINT)
        return images.flatten(1) @ self.weight.T
"""
CUSTOM = (
    "network=custom", "network.options.size=4", "generator=pixels", "generator.options.shape=[3,4,4]", "encoder=none",
    "neuron=logits:1", "range=[0.2,0.3]", "schedule.K=4", "hydra.sweep.dir=sweep",
)  # fmt: skip
LINEAR = ("experiment=linear", "schedule.K=4", "range=[0.6,0.7]", "hydra.sweep.dir=sweep")


def table(folder: Path) -> list[tuple[str, str]]:
    with (folder / "overview.csv").open(newline="") as file:
        return [(row["status"], row["error"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("launcher", "package", "told"),
    [
        ("submitit_local", "submitit", "its process was ended from outside"),
        ("ray", "hydra_plugins.hydra_ray_launcher", "Ray has no result of it: The worker died"),
    ],
)
def test_a_killed_job_is_named_and_the_others_deliver(invset, here, monkeypatch, launcher, package, told):
    pytest.importorskip(package)
    (here / "job_nets.py").write_text(NETS)
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    jobs = (*CUSTOM, "network.factory=job_nets:dies,job_nets:lives", "n=8")
    result = invset("sample", "-m", f"hydra/launcher={launcher}", *jobs)
    assert result.code == 1
    killed, done = table(here / "sweep")
    assert (killed[0], done) == ("failed", ("complete", ""))
    assert told in killed[1]
    printed = [line for line in result.out.splitlines() if "(raylet)" not in line]  # which has a word for it, too
    assert printed == ["sweep/1: logits:1 in [0.2, 0.3]: done", "sweep/overview.png"]
    assert result.err.splitlines() == [f"invset: sweep/0: {killed[1]}"]
    # What is done is known again, by any launcher; the rest is done.
    (here / "job_nets.py").write_text(NETS.replace("def dies", "dies = lives\n\n\ndef killed"))
    again = invset("sample", "-m", *jobs)
    assert (again.code, again.out.count("done already")) == (0, 1)
    assert [status for status, _ in table(here / "sweep")] == ["complete", "complete"]


@pytest.mark.parametrize(
    ("launcher", "at_once"), [("joblib", "hydra.launcher.n_jobs=2"), ("ray", "hydra.launcher.ray.init.num_cpus=2")]
)
def test_a_job_that_fails_and_two_that_do_not(invset, here, launcher, at_once):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    result = invset("sample", "-m", f"hydra/launcher={launcher}", at_once, *LINEAR, "method=paper", "n=3,8,9")
    assert result.code == 2
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [status for status, _ in table(here / "sweep")] == ["failed", "complete", "complete"]
    assert read_json(here / "sweep" / "1" / "manifest.json")["overrides"][-1] == "n=8"


def test_a_job_of_joblib_that_was_interrupted_is_gone_on_with(here):
    """As by Ctrl-C, which comes to all processes; here to the one that does the job, for it to end as such."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    (here / "job_nets.py").write_text(NETS)
    command = [
        *(sys.executable, "-m", "invset", "sample", "-m", *CUSTOM, "network.factory=job_nets:Slow", "n=60,61"),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    ]
    path = f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=here)
    assert done.returncode == 130
    assert done.stdout.splitlines()[-1] == "to go on: invset sample resume=sweep hydra/launcher=joblib"
    assert "Traceback" not in done.stderr
    found = [path.parent.name for path in (here / "sweep").glob("*/summary.json")]
    statuses = {job: read_json(here / "sweep" / job / "summary.json")["status"] for job in found}
    assert "interrupted" in statuses.values(), statuses  # the other may have been ended before it could say so
    assert set(statuses.values()) <= {"interrupted", "complete"}
    again = subprocess.run(command, env=env, capture_output=True, text=True, cwd=here)
    assert (again.returncode, again.stderr) == (0, "")
    assert "going on from the last checkpoint" in again.stdout
    assert [status for status, _ in table(here / "sweep")] == ["complete", "complete"]


def test_what_jobs_of_joblib_print_is_labelled(here):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    command = [
        *(sys.executable, "-m", "invset", "sample", "-m", *LINEAR, "method=paper", "n=3,8,9"),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    ]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, cwd=here)
    assert done.returncode == 2
    *lines, overview = done.stdout.splitlines()
    assert overview == "sweep/overview.png"
    for job, n in (("sweep/1: ", 8), ("sweep/2: ", 9)):
        own = [line.removeprefix(job) for line in lines if line.startswith(job)]
        assert own[0] == "output:1 in [0.6, 0.7]"
        assert own[1].startswith(f"{n} of {n} samples in range as saved")
    assert all(line.startswith(("sweep/1: ", "sweep/2: ")) for line in lines)
    (error,) = done.stderr.splitlines()
    assert error.startswith("invset: sweep/0: n=3 is less than schedule.K=4")


def test_lines_are_written_whole():
    out = io.StringIO()
    one, other = Labelled(out, "a"), Labelled(out, "b")
    one.write("x")
    other.write("1\n2\n3")
    one.write("y\ninvset: z\n")
    other.close()
    one.close()
    assert out.getvalue() == "b: 1\nb: 2\na: xy\ninvset: a: z\nb: 3\n"


def test_what_is_not_installed_is_said(invset, here, monkeypatch):
    assert not installed("hydra_plugins_of_nobody.launcher.Launcher")
    assert not installed("hydra._internal_of_nobody.Launcher")
    monkeypatch.setattr("invset.cli.launching.installed", lambda target: "BasicLauncher" in target)
    for launcher in OURS:
        result = invset("sample", "-m", f"hydra/launcher={launcher}", *LINEAR, "n=8")
        assert result.code == 2
        assert f"pip install 'invset[{launcher.split('_')[0]}]'" in result.err


@pytest.mark.skipif(not os.environ.get("INVSET_SLOW"), reason="minutes; set INVSET_SLOW=1")
def test_twelve_jobs_of_which_one_fails(invset, here):
    pytest.importorskip("submitit")
    sizes = ",".join(map(str, [8, 9, 10, 11, 3, *range(12, 19)]))
    result = invset("sample", "-m", "hydra/launcher=submitit_local", *LINEAR, "method=paper", f"n={sizes}")
    assert result.code == 2
    statuses = [status for status, _ in table(here / "sweep")]
    assert statuses == ["complete"] * 4 + ["failed"] + ["complete"] * 7
    assert [line.split(": ")[1] for line in result.err.splitlines()] == ["sweep/4"]
