"""What is said of settings before a run begins: of a range left at its default, of what is not used."""

from __future__ import annotations

import pytest

QUICK = ("sample", "n=2", "schedule.K=2", "schedule.inner_steps=3", "hydra.run.dir=run")
DEFAULT = "range=[40, 50] is the default; what this unit reaches: invset probe "
IGNORED = "not used by method=multistart"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["neuron=fc8:volcano"], [f"{DEFAULT}neuron=fc8:981"]),
        (["neuron=conv5:97", "precision=float32"], [f"{DEFAULT}neuron=conv5:97:center precision=float32"]),
        (["neuron=[fc8:volcano]"], [f"{DEFAULT}neuron=fc8:981"]),
        (["neuron=fc8:volcano", "range=[40,50]"], []),
        ([], []),
        (["experiment=linear"], []),
        (["schedule.alpha=5"], [f"schedule.alpha: {IGNORED}"]),
        (
            ["schedule.outer_iterations=2", "schedule.alpha=7"],
            [f"schedule.alpha and schedule.outer_iterations: {IGNORED}"],
        ),
        (["schedule.outer_iterations=2", "schedule.alpha=5", "method=paper"], []),
    ],
)  # fmt: skip
def test_notes(invset, here, settings, told):
    lines = invset(*QUICK, *settings).out.splitlines()
    ends = next(index for index, line in enumerate(lines) if " samples in range as saved" in line)
    assert lines[1:ends] == told
    again = invset("sample", "resume=run", "n=3").out
    assert "default" not in again
    assert "not used" not in again


def test_in_a_sweep(invset, here):
    result = invset(
        "sample", "-m", *QUICK[1:4], "neuron=fc8:goldfish,fc8:lion", "schedule.alpha=4,5", "hydra.sweep.dir=s"
    )
    assert result.code in (0, 3)
    assert result.out.count("is the default; ") == 4
    assert result.out.count("schedule.alpha: not used") == 4
