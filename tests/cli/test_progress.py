"""What is shown while a run goes."""

from __future__ import annotations

import io
from typing import NamedTuple

import pytest
import torch
from rich.console import Console

from invset.cli.sampling.progress import Display, acceptance, seeding_note
from invset.run.recorder import Tally
from invset.run.runner import Progress


class Shown(NamedTuple):
    """What is shown of a step."""

    sampling: torch.Tensor
    outer: torch.Tensor
    feasible: torch.Tensor
    violation: torch.Tensor


def progress(sampling: bool, inside: list[bool], violation: list[list[float]], tally: Tally, samples: int) -> Progress:
    chains = len(inside)
    step = Shown(torch.tensor([sampling] * chains), torch.ones(chains), torch.tensor(inside), torch.tensor(violation))
    return Progress(step, tally, samples, 20)  # type: ignore[arg-type]


SEEDING = progress(False, [True, False], [[0.0, 0.0], [3.25, 0.0]], Tally(), 0)
SAMPLING = progress(
    True, [True, True], [[0.0, 0.0]] * 2, Tally(samples=6, candidates=7, seconds=2.0, tried=8, accepted=6), 6
)


def shown(has_seeds: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=160)
    with Display(console, ["fc8:981", "conv5:97"], has_seeds) as display:
        for step in (SEEDING, SAMPLING):
            display.show(step)
            display.refresh()
    return out.getvalue()


def test_a_line_every_ten_seconds_without_a_terminal():
    """Of a run that goes on with 100 samples, and gives another at every second."""
    out, now = io.StringIO(), [50.0]
    with Display(Console(file=out), ["fc8:981"], clock=lambda: now[0]) as display:
        for samples in range(100, 126):
            display.show(SAMPLING._replace(samples=samples, wanted=200))
            now[0] += 1.0
    assert out.getvalue().splitlines() == [
        "110 of 200 samples, 10 s, about 90 s more",
        "120 of 200 samples, 20 s, about 80 s more",
    ]


def test_without_a_terminal_nothing_is_expected_of_a_run_that_has_no_samples():
    out, now = io.StringIO(), [0.0]
    with Display(Console(file=out), ["fc8:981"], clock=lambda: now[0]) as display:
        for now[0] in (1.0, 9.0, 14.0):
            display.show(SEEDING)
    assert out.getvalue() == "0 of 20 samples, 14 s\n"


def test_counts_on_a_terminal():
    text = shown()
    assert "seeds" in text
    assert "1 of 2" in text
    assert "outer 2, fc8:981 off by 3.25, conv5:97 met" in text
    assert "samples" in text
    assert "6 of 20" in text
    assert "75% accepted, 3/s" in text


def test_a_method_without_seeds():
    text = shown(has_seeds=False)
    assert "seeds" not in text
    assert "accepted" not in text
    assert "outer" not in text
    before, _, after = text.partition("6 of 20")
    assert "chains in range" in before
    assert "1 of 2" in before
    assert "fc8:981 off by 3.25, conv5:97 met" in before
    assert "75% of codes in range, 3/s" in after
    assert "chains in range" not in after.splitlines()[-1]


def test_seeding_note():
    assert seeding_note(SEEDING, ["a", "b"]) == "outer 2, a off by 3.25, b met"


@pytest.mark.parametrize(("tally", "share"), [(Tally(), 1.0), (Tally(tried=10, accepted=4, candidates=2), 0.4)])
def test_acceptance(tally, share):
    assert acceptance(progress(True, [True] * 2, [[0.0]] * 2, tally, 2)) == share
