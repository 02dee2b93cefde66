"""One run on several processes: it ends as on one, and goes on with another number of them."""

from __future__ import annotations

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invset.run.json_files import read_json

NETS = """\
import os, signal
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.passes = nn.Linear(48, 2), 0

    def forward(self, images):
        self.passes += 1
        if os.environ.get("DIES") == os.environ.get("RANK", "0") and self.passes > 55:
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ.get("FAILS") == os.environ.get("RANK", "0") and self.passes > 55:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return (5 * self.layer(images.flatten(1))).sigmoid()
"""
COMMAND = (
    "sample", "network=custom", "network.factory=shared_nets:Net", "network.options.size=4", "generator=pixels",
    "generator.options.shape=[3,4,4]", "encoder=none", "neuron=layer:1", "range=[0.6,0.7]", "method=full",
    "pixels=raw",  # a pixel rounded to the other side would be more than a rounding error
)  # fmt: skip
SIZE = ("n=9", "batch_size=2", "seed=1")


def started(count: int, *arguments: str, **environment: str) -> list[subprocess.Popen[str]]:
    """As torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "invset", *arguments],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    try:
        results = [process.communicate(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *result) for process, result in zip(processes, results, strict=True)]


def trace(folder: Path) -> list[dict[str, float]]:
    phases = {"seeding": 0, "sampling": 1}
    with (folder / "trace.csv").open(newline="") as file:
        return [{key: float(phases.get(value, value)) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture
def nets(here: Path) -> Path:
    (here / "shared_nets.py").write_text(NETS)
    return here


def test_a_process_is_killed_and_another_number_goes_on(invset, nets):
    assert invset(*COMMAND, *SIZE, "hydra.run.dir=one").code in (0, 3)
    (code, out, err), (killed, *_) = ended(started(2, *COMMAND, *SIZE, "hydra.run.dir=two", DIES="1"))
    assert (code, killed) == (1, -signal.SIGKILL)
    assert "another process was lost" in err
    assert "to go on: invset sample resume=two" in out
    assert read_json(nets / "two" / "summary.json")["status"] == "failed"
    assert 0 < len(trace(nets / "two")) < len(trace(nets / "one"))
    # Steps are those of one process to rounding, which later ones magnify; tests/passes/test_ranks.py has float64.
    whole, lost = trace(nets / "one"), trace(nets / "two")
    for expected, ours in zip(whole[:9], lost[:9], strict=True):
        assert ours == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # Alone, from the last checkpoint on.
    assert invset("sample", "resume=two", COMMAND[2]).code == 0
    assert trace(nets / "two")[: len(lost)] == lost
    summary = read_json(nets / "two" / "summary.json")
    assert (summary["status"], summary["samples"], summary["in_range_as_saved"]) == ("complete", 9, 1.0)


@pytest.mark.skipif(not os.environ.get("INVSET_SLOW"), reason="the core's test is quicker; set INVSET_SLOW=1")
def test_what_fails_on_one_process_is_said_by_the_first(nets):
    (code, out, err), (other, *silent) = ended(started(2, *COMMAND, *SIZE, "hydra.run.dir=run", FAILS="1"))
    assert (code, other, silent) == (1, 0, ["", ""])
    assert err == "invset: process 1 of 2: OutOfMemoryError: CUDA out of memory.\n"
    assert "to go on: invset sample resume=run" in out


def test_a_wrong_setting_is_said_once_and_ctrl_c_ends_all(nets):
    first, second = ended(started(2, *COMMAND, "n=0"))
    assert first[0] == 2
    assert first[2].startswith("invset: n=0")
    assert second == (0, "", "")
    slow = ("n=9", "schedule.stop=optimised", "schedule.inner_steps=100000", "hydra.run.dir=run")
    processes = started(2, *COMMAND, *slow)
    until = time.monotonic() + 60
    while not (nets / "run" / "checkpoint.safetensors").exists() and time.monotonic() < until:
        time.sleep(0.05)
    for process in processes:
        process.send_signal(signal.SIGINT)
    first, second = ended(processes)
    assert first[0] == second[0] == 130
    assert (first[2], second[1:]) == ("", ("", ""))
    assert read_json(nets / "run" / "summary.json")["status"] == "interrupted"


def test_multistart_has_no_seeds_on_several_processes_either(nets):
    """What the first process does with seeds depends on the method, not on how its steps are shared."""
    settings = [setting for setting in COMMAND if setting != "method=full"]
    (code, out, err), other = ended(started(2, *settings, "n=3", "schedule.K=2", "hydra.run.dir=run"))
    assert (code, err, other) == (0, "", (0, "", ""))
    assert "3 of 3 samples" in out
    assert not (nets / "run" / "seeds.png").exists()
