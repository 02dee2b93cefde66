"""What starts=auto is, as the README has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from invset.assemble.models import usual_starts
from invset.errors import ConfigError
from invset.models.registry import build_generator
from invset.settings import MethodSettings, ProbeSettings, SampleSettings, ScheduleSettings

MANY = SampleSettings(method=MethodSettings("multistart"))
PAPER = SampleSettings(method=MethodSettings("paper"))


@pytest.mark.parametrize(
    ("config", "mini", "pixels", "unknown"),
    [
        (MANY, "near", "normal", "random_images"),
        (replace(MANY, schedule=ScheduleSettings(K=10**6)), "normal", "normal", "random_images"),
        (PAPER, "normal", "normal", "random_images"),
        (ProbeSettings(folder="x"), "normal", "normal", "random_images"),
        (replace(MANY, folder="x"), "near", "near", "near"),
    ],
)
def test_auto(config, mini, pixels, unknown):
    known = build_generator("mini")
    assert usual_starts(config, known) == mini
    assert usual_starts(config, build_generator("pixels", shape=[3, 4, 4])) == pixels  # it knows no natural codes
    assert usual_starts(config, replace(known, statistics=None)) == unknown


def test_images_that_are_of_no_use() -> None:
    with pytest.raises(ConfigError, match=r"^x: images are not used with starts=auto, which is normal here"):
        usual_starts(replace(PAPER, folder="x"), build_generator("mini"))
