"""`method=full` (eq. 16) from the command line: n is the size of the problem, and images come last."""

from __future__ import annotations

import csv
import json


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


FULL = ("sample", "experiment=linear", "method=full", "batch_size=3", "n=8")


def test_chains_are_numbered_through_all_batches(invset, here):
    result = invset(*FULL, "hydra.run.dir=run")
    assert (result.code, result.err) == (0, "")
    assert [row["chain"] for row in rows(here / "run" / "activations.csv")] == [str(n) for n in range(1, 9)]
    emitted = [row["chain"] for row in rows(here / "run" / "trace.csv") if row["phase"] == "sampling"]
    assert emitted == [str(n) for n in range(1, 9)]


def test_fewer_samples_than_the_chains_of_the_other_method(invset, here):
    assert invset(*FULL[:-1], "n=5", "schedule.K=10", "hydra.run.dir=run").code == 0
    assert json.loads((here / "run" / "summary.json").read_text())["samples"] == 5


def test_unreachable_is_a_result(invset, here):
    short = ("schedule.outer_iterations=1", "schedule.inner_steps=3", "range=[0.99999,0.999999]")
    result = invset(*FULL, *short, "hydra.run.dir=run")
    assert (result.code, result.err) == (3, "")
    assert "the range was not reached" in result.out
    assert json.loads((here / "run" / "summary.json").read_text())["status"] == "unreachable"


def test_it_cannot_be_extended(invset, here):
    assert invset(*FULL, "hydra.run.dir=run").code == 0
    before = (here / "run" / "config.yaml").read_bytes()
    result = invset("sample", "resume=run", "n=9")
    assert result.code == 2
    assert "cannot be extended" in result.err
    assert (here / "run" / "config.yaml").read_bytes() == before
