"""What a config may hold, checked before any model is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from invset.cli.check import LEAST, check_probe, check_sample
from invset.cli.schema import (
    CodeConfig,
    MethodConfig,
    ObjectiveConfig,
    ProbeConfig,
    SampleConfig,
    ScheduleConfig,
    keys,
)
from invset.errors import ConfigError
from invset.metrics import saturation

GOOD = SampleConfig(neuron="fc8:2", range=[50, 60])
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("neuron", "given", "ranges"),
    [
        ("fc8:2", [50, 60], ((50, 60),)),
        ("fc8:2", [[50, 60]], ((50, 60),)),
        (["fc8:2"], [0.5, 60], ((0.5, 60),)),
        (["fc8:2"], [[-1e9, 0]], ((-1e9, 0),)),
        (["fc8:2", "conv5:97"], [[5, 9], [40, 50]], ((5, 9), (40, 50))),
    ],
)
def test_ranges(neuron, given, ranges):
    targets = check_sample(replace(GOOD, neuron=neuron, range=given))
    assert targets.ranges == ranges
    assert targets.neurons == ((neuron,) if isinstance(neuron, str) else tuple(neuron))


@pytest.mark.parametrize(
    "given",
    [
        None, 50, "abc", [], [50], [60, 50], [50, 50], [50, 60, 70], ["a", "b"], ["50", "60"], [NAN, 60], [50, NAN],
        [50, INF], [-INF, 60], [True, 60], [None, 60], [[50, 60, 70]], [[[50, 60]]], [[]], [[50, 60], [1, 2]],
        [[50, 60], 3], {"low": 1, "high": 2},
    ],
)  # fmt: skip
def test_no_ranges(given):
    with pytest.raises(ConfigError, match=r"^range=.*\.$") as raised:
        check_sample(replace(GOOD, range=given))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[1, 2]], "1 in all, for 2 neurons"),
        ([[1, 2]] * 3, "3 in all, for 2 neurons"),
        ([1, 2], r"range=\[1, 2\] is one range .* there are 2 neurons: each needs one of its own.*as 'range="),
        ([[1, 2], [2, 1]], r"\[2, 1\] is not a range"),
    ],
)
def test_a_range_for_each_neuron(given, told):
    with pytest.raises(ConfigError, match=told):
        check_sample(replace(GOOD, neuron=["fc8:2", "fc8:3"], range=given))


@pytest.mark.parametrize("neuron", [None, 981, "", [], [981], ["fc8:1", ""], [["fc8:1"]], {"fc8": 1}])
def test_no_neurons(neuron):
    with pytest.raises(ConfigError, match="give layer:unit"):
        check_sample(replace(GOOD, neuron=neuron))


def test_a_neuron_twice():
    with pytest.raises(ConfigError, match="the same unit twice"):
        check_sample(replace(GOOD, neuron=["fc8:2", "fc8:2"], range=[[1, 2], [1, 2]]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n": 9}, r"n=9 is less than schedule.K=10"),
        ({"batch_size": 0}, "batch_size=0: give 1 or more"),
        ({"threads": 0}, "threads=0: give 1 or more"),
        ({"method": MethodConfig("papr")}, "method.name=papr: did you mean paper"),
        ({"constraint": "uper"}, "constraint=uper: there are lower, range"),
        ({"until": "plato"}, "until=plato: "),
        ({"gain": 0.0}, "gain=0.0: give a share above 0 and below 1"),
        ({"gain": 1.0}, "gain=1.0: give"),
        ({"gain": NAN}, "gain=nan: give"),
        ({"until": "plateau", "n": 199}, "n=199: a plateau can be told from 200 samples on"),
        ({"until": "plateau", "method": MethodConfig("full")}, "until=plateau: method=full"),
        ({"position": "centre"}, "position=centre: did you mean center"),
        ({"starts": "real"}, "starts=real: "),
        ({"pixels": "row"}, "pixels=row: did you mean raw"),
        ({"folder": "x"}, "only used with starts=codes or mixed; starts=auto is neither with method=paper: add one"),
        ({"folder": "x", "starts": "normal"}, "only used with starts=codes or mixed: add one"),
        ({"schedule": ScheduleConfig(K=0)}, "schedule.K=0: give 1 or more"),
        ({"schedule": ScheduleConfig(inner_steps=0)}, "schedule.inner_steps=0"),
        ({"schedule": ScheduleConfig(outer_iterations=0)}, "schedule.outer_iterations=0"),
        ({"schedule": ScheduleConfig(mu=0)}, "schedule.mu=0: give a number above 0"),
        ({"schedule": ScheduleConfig(mu=NAN)}, "schedule.mu=nan"),
        ({"schedule": ScheduleConfig(alpha=1)}, "the penalty has to grow"),
        ({"schedule": ScheduleConfig(alpha=INF)}, "the penalty has to grow"),
        ({"schedule": ScheduleConfig(stop="never")}, "schedule.stop=never: there are feasible, optimised"),
        (
            {"schedule": ScheduleConfig(stop="optimised"), "method": MethodConfig("multistart")},
            "schedule.stop=optimised: method=multistart has no seeds",
        ),
        ({"objective": ObjectiveConfig(between="code")}, "objective.between=code: did you mean codes"),
        ({"objective": ObjectiveConfig(scale=-1)}, "objective.scale=-1: give auto"),
        ({"objective": ObjectiveConfig(scale="one")}, "objective.scale=one: give auto"),
        ({"code": CodeConfig([3, 1])}, "two numbers in order"),
        ({"code": CodeConfig("none")}, "give auto, null"),
    ],
)
def test_a_wrong_setting(changes: dict[str, Any], told: str):
    with pytest.raises(ConfigError, match=told):
        check_sample(replace(GOOD, **changes))


def test_a_folder_of_images_to_start_from():
    multistart = replace(GOOD, folder="x", method=MethodConfig("multistart"))
    for config in (multistart, replace(multistart, starts="mixed"), replace(GOOD, folder="x", starts="codes")):
        check_sample(config)


def test_a_plateau():
    check_sample(replace(GOOD, until="plateau", n=LEAST, gain=0.001))
    assert LEAST == saturation.LEAST


@pytest.mark.parametrize("bounds", ["auto", None, [0, 30], [-0.5, 0.5]])
def test_bounds(bounds):
    check_sample(replace(GOOD, code=CodeConfig(bounds)))
    assert check_probe(ProbeConfig(neuron="fc8:2", code=CodeConfig(bounds))) == ("fc8:2",)


@pytest.mark.parametrize("changes", [{"codes": 1}, {"chains": 0}, {"steps": 0}, {"neuron": []}, {"position": "top"}])
def test_a_wrong_setting_of_probe(changes):
    with pytest.raises(ConfigError):
        check_probe(replace(ProbeConfig(neuron="fc8:2"), **changes))


def test_keys():
    found = keys(SampleConfig)
    assert {"n", "schedule", "schedule.K", "network.name", "network.kind", "encoder.weights", "code.bounds"} <= set(
        found
    )
    assert len(found) == len(set(found))
