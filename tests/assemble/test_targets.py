"""What a config may hold, checked before any model is built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from invset.assemble.methods import method_class
from invset.assemble.sampling import check_fit, check_targets
from invset.errors import ConfigError
from invset.settings import (
    CodeSettings,
    MethodSettings,
    ObjectiveSettings,
    ProbeSettings,
    SampleSettings,
    ScheduleSettings,
    check,
    from_dict,
    names,
)

GOOD = SampleSettings(neuron="fc8:2", range=[50, 60], method=MethodSettings("paper"))
NAN, INF = float("nan"), float("inf")


def check_all(settings: SampleSettings) -> Any:
    targets = check_targets(settings)
    check_fit(settings, method_class(settings.method.name))
    return targets


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
    targets = check_all(replace(GOOD, neuron=neuron, range=given))
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
        check_all(replace(GOOD, range=given))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[1, 2]], "give 2 ranges"),
        ([[1, 2]] * 3, "give 2 ranges"),
        ([1, 2], r"range=\[1, 2\] is one range.* there are 2 neurons: each needs one of its own.*as 'range="),
        ([[1, 2], [2, 1]], "give 2 ranges"),
    ],
)
def test_a_range_for_each_neuron(given, told):
    with pytest.raises(ConfigError, match=told):
        check_all(replace(GOOD, neuron=["fc8:2", "fc8:3"], range=given))


@pytest.mark.parametrize("neuron", [None, 981, "", [], [981], ["fc8:1", ""], [["fc8:1"]], {"fc8": 1}])
def test_no_neurons(neuron):
    with pytest.raises(ConfigError, match="give layer:unit"):
        check_all(replace(GOOD, neuron=neuron))


def test_a_neuron_twice():
    with pytest.raises(ConfigError, match="the same unit twice"):
        check_all(replace(GOOD, neuron=["fc8:2", "fc8:2"], range=[[1, 2], [1, 2]]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"n": 9}, r"n=9 is less than schedule.K=10"),
        ({"batch_size": 0}, "batch_size=0: give auto, or a whole number from 1 on"),
        ({"threads": 0}, "threads=0: give 1 to "),
        ({"threads": 100000}, "threads=100000: give 1 to .* four for each of this machine's cores"),
        ({"method": MethodSettings("papr")}, "method=papr: did you mean paper"),
        ({"constraint": "uper"}, "constraint=uper: there are lower, range"),
        ({"until": "plato"}, "until=plato: "),
        ({"gain": 0.0}, "gain=0.0: give a share above 0 and below 1"),
        ({"gain": 1.0}, "gain=1.0: give"),
        ({"gain": NAN}, "gain=nan: give"),
        ({"until": "plateau", "n": 199}, "n=199: a plateau can be told from 200 samples on"),
        ({"until": "plateau", "method": MethodSettings("full")}, "until=plateau: method=full cannot"),
        ({"fill": "uniform"}, "fill=uniform: method=paper cannot"),
        ({"position": "centre"}, "position=centre: did you mean center"),
        ({"starts": "real"}, "starts=real: "),
        ({"pixels": "row"}, "pixels=row: did you mean raw"),
        (
            {"folder": "x"},
            "only used with starts=near, codes or mixed; starts=auto is neither with method=paper: add one",
        ),
        ({"folder": "x", "starts": "normal"}, "only used with starts=near, codes or mixed: add one"),
        ({"schedule": ScheduleSettings(K=0)}, "schedule.K=0: give 1 or more"),
        ({"schedule": ScheduleSettings(inner_steps=0)}, "schedule.inner_steps=0"),
        ({"schedule": ScheduleSettings(outer_iterations=0)}, "schedule.outer_iterations=0"),
        ({"schedule": ScheduleSettings(mu=0)}, "schedule.mu=0: give a number above 0"),
        ({"schedule": ScheduleSettings(mu=NAN)}, "schedule.mu=nan"),
        ({"schedule": ScheduleSettings(alpha=1)}, "give a number above 1, as 10"),
        ({"schedule": ScheduleSettings(alpha=INF)}, "give a number above 1, as 10"),
        ({"schedule": ScheduleSettings(stop="never")}, "schedule.stop=never: there are feasible, optimised"),
        (
            {"schedule": ScheduleSettings(stop="optimised"), "method": MethodSettings("multistart")},
            "schedule.stop=optimised: method=multistart cannot",
        ),
        ({"objective": ObjectiveSettings(between="code")}, "objective.between=code: did you mean codes"),
        ({"objective": ObjectiveSettings(scale=-1)}, "objective.scale=-1: give auto"),
        ({"objective": ObjectiveSettings(scale="one")}, "objective.scale=one: give auto"),
        ({"code": CodeSettings([3, 1])}, "two numbers in order"),
        ({"code": CodeSettings("none")}, "give auto, null"),
    ],
)
def test_a_wrong_setting(changes: dict[str, Any], told: str):
    with pytest.raises(ConfigError, match=told):
        check_all(replace(GOOD, **changes))


def test_a_folder_of_images_to_start_from():
    multistart = replace(GOOD, folder="x", method=MethodSettings("multistart"))
    for config in (multistart, replace(multistart, starts="mixed"), replace(GOOD, folder="x", starts="codes")):
        check_all(config)


@pytest.mark.parametrize("bounds", ["auto", None, [0, 30], [-0.5, 0.5]])
def test_bounds(bounds):
    check_all(replace(GOOD, code=CodeSettings(bounds)))
    check(ProbeSettings(code=CodeSettings(bounds)))


@pytest.mark.parametrize("changes", [{"codes": 1}, {"chains": 0}, {"steps": 0}, {"position": "top"}])
def test_a_wrong_setting_of_probe(changes):
    with pytest.raises(ConfigError):
        check(replace(ProbeSettings(), **changes))


def test_names():
    found = names(SampleSettings)
    assert {"n", "schedule", "schedule.K", "network.name", "network.kind", "encoder.weights"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"nn": 3}, "there is no setting 'nn': did you mean n"),
        ({"schedule": {"k": 3}}, "there is no setting 'schedule.k'"),
        ({"n": "3"}, "n=3: give a whole number"),
        ({"n": True}, "n=True: give a whole number"),
        ({"n": None}, "n=None: give a whole number"),
        ({"threads": 1.5}, "threads=1.5: give a whole number, or null"),
        ({"schedule": 3}, "schedule=3: give its settings one by one"),
        ({"network": {"options": [1]}}, "network.options="),
    ],
)
def test_values_that_are_no_settings(values, told):
    with pytest.raises(ConfigError, match=told):
        from_dict(SampleSettings, values)


def test_settings_from_values():
    settings = from_dict(SampleSettings, {"n": 3, "schedule": {"K": 2, "mu": 1}, "threads": None})
    assert settings == SampleSettings(n=3, schedule=ScheduleSettings(K=2, mu=1.0))
