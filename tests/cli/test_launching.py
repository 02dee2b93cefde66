"""Sweeps whose jobs run in processes of their own: what became of each is read from the sweep's folder."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from invset.cli.hydra_errors import LAUNCHERS
from invset.run.json_files import read_json

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
    ("launcher", "package"), [("submitit_local", "submitit"), ("ray", "hydra_plugins.hydra_ray_launcher")]
)
def test_a_killed_job_is_named_and_the_others_deliver(invset, here, monkeypatch, launcher, package):
    pytest.importorskip(package)
    (here / "job_nets.py").write_text(NETS)
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    jobs = (*CUSTOM, "network.factory=job_nets:lives,job_nets:dies", "n=8")
    result = invset("sample", "-m", f"hydra/launcher={launcher}", *jobs)
    assert result.code == 1
    assert result.err.count("\n") == 1, "the launcher's error"
    assert [status for status, _ in table(here / "sweep")] == ["complete", "cut short"]
    assert "2 jobs: 1 complete, 1 cut short" in result.out
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
    assert result.code == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [status for status, _ in table(here / "sweep")] == ["failed", "complete", "complete"]
    assert "sweep/0: failed: n=3 is less than schedule.K=4" in result.out
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


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_is_not_installed_is_said(invset, here, launcher):
    """Hydra's words where a plugin is not there, in ours."""
    from hydra.errors import MissingConfigException

    from invset.cli.hydra_errors import describe_error

    words = (
        f"In 'sample': Could not find 'hydra/launcher/{launcher}'\n\nAvailable options in 'hydra/launcher':\n\tbasic"
    )
    told = describe_error(MissingConfigException(words), "sample")
    assert told == f"hydra/launcher={launcher}: not installed: pip install 'invset[{launcher.split('_')[0]}]'"


@pytest.mark.skipif(not os.environ.get("INVSET_SLOW"), reason="minutes; set INVSET_SLOW=1")
def test_twelve_jobs_of_which_one_fails(invset, here):
    pytest.importorskip("submitit")
    sizes = ",".join(map(str, [8, 9, 10, 11, 3, *range(12, 19)]))
    result = invset("sample", "-m", "hydra/launcher=submitit_local", *LINEAR, "method=paper", f"n={sizes}")
    assert result.code == 1
    statuses = [status for status, _ in table(here / "sweep")]
    assert statuses == ["complete"] * 4 + ["failed"] + ["complete"] * 7
