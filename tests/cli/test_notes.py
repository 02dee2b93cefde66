"""What is said of settings before a run begins: of ranges that it found itself, of what is not used."""

from __future__ import annotations

import json

import pytest
import yaml

QUICK = ("sample", "n=2", "schedule.K=2", "schedule.inner_steps=3", "hydra.run.dir=run")
GIVEN = (*QUICK, "range=[30,40]")
IGNORED = "not used by method=multistart"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([], []),
        (["schedule.alpha=5"], [f"schedule.alpha: {IGNORED}"]),
        (
            ["schedule.outer_iterations=2", "schedule.alpha=7"],
            [f"schedule.alpha and schedule.outer_iterations: {IGNORED}"],
        ),
        (["schedule.outer_iterations=2", "schedule.alpha=5", "method=paper"], []),
    ],
)  # fmt: skip
def test_notes(invset, here, settings, told):
    lines = invset(*GIVEN, *settings).out.splitlines()
    ends = next(index for index, line in enumerate(lines) if " samples in range, " in line)
    assert lines[1:ends] == told
    assert "not used" not in invset("sample", "resume=run", "n=3").out


@pytest.mark.parametrize("unit", ["fc8:volcano", "[conv5:97,fc8:goldfish]"])
def test_a_range_that_was_found_is_said_and_kept(invset, here, unit):
    """In numbers: a run that goes on, and its command given again, have the same."""
    result = invset("sample", f"neuron={unit}", "n=6", "schedule.K=4", "hydra.run.dir=run")
    assert result.code == 0, result.out + result.err
    ranges = yaml.safe_load((here / "run" / "config.yaml").read_text())["range"]
    line = next(line for line in result.out.splitlines() if line.startswith("range="))
    assert yaml.safe_load(line.partition("=")[2].partition(": ")[0]) == ranges
    more = invset("sample", "resume=run", "range=auto", "n=8")
    assert more.code == 0, more.err
    assert "natural codes stay below" not in more.out
    assert yaml.safe_load((here / "run" / "config.yaml").read_text())["range"] == ranges


def test_a_unit_that_nothing_moves_has_no_range(invset, here, monkeypatch):
    from invset.models.linear import LinearModel

    monkeypatch.setattr(LinearModel, "forward", lambda self, images: self.output(self.logit(images.flatten(1)) * 0))
    result = invset("sample", "network=linear", "generator=pixels", "generator.options.shape=[3,8,8]", "range=auto",
                    "neuron=output:1")  # fmt: skip
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "invset: range=auto: no gradient step leads output:1 above 0.5, the highest of 48 codes: give a range, or "
        "another unit.\n"
    )


def test_a_range_that_is_not_filled_evenly_is_said_to_be_so(invset, here):
    """Goldfish reaches 100: two thirds of the first range stay empty."""
    settings = ("sample", "n=12", "schedule.K=4", "schedule.inner_steps=20", "neuron=fc8:goldfish")
    assert "is not filled evenly" in invset(*settings, "range=[50,200]").out
    assert "is not filled evenly" not in invset(*settings, "range=[50,200]", "fill=any").out
    assert "is not filled evenly" not in invset(*settings, "range=[30,40]").out


def test_in_a_sweep(invset, here):
    """Each job finds its own; what is done already is not done again."""
    sweep = ("sample", "-m", "n=4", "schedule.K=4", "neuron=fc8:goldfish,fc8:lion", "hydra.sweep.dir=s")
    result = invset(*sweep, "schedule.alpha=4")
    assert result.code == 0, result.err
    assert result.out.count("natural codes stay below") == 2
    assert result.out.count("schedule.alpha: not used") == 2
    again = invset("sample", "resume=s")
    assert again.code == 0, again.err
    assert again.out.count("done already: complete") == 2


def test_a_class_that_the_generator_does_not_know_is_said_to_be_so_before_the_run(invset, here):
    """No natural code is a zebra: where they give most of it, a hundred other classes are above it."""
    known = invset(*QUICK, "neuron=[fc8:goldfish,conv5:97]", "range=[[30,40],[1,2]]")
    assert "hardly known" not in known.out
    result = invset(*QUICK[:-1], "neuron=[fc8:zebra,conv5:97]", "range=[[4,6],[1,2]]")
    line = result.out.splitlines()[1]
    assert line.startswith("fc8:341 zebra is hardly known here: ")
    (folder,) = here.glob("outputs/*/*")
    assert json.loads((folder / "manifest.json").read_text())["hardly_known"] == [line]
    assert json.loads((here / "run" / "manifest.json").read_text())["hardly_known"] == []
