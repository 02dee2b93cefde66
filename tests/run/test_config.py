"""config.yaml holds all settings of a run, and says whether a run has gone as far as they ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from invset.errors import RunFolderError
from invset.run import goal
from invset.run.config import read_config, write_config
from invset.settings import MethodSettings, SampleSettings, ScheduleSettings

SETTINGS = SampleSettings(
    neuron=["conv5:97", "fc8:862"],
    range=[[5, 9.5], [-1e-30, 40]],
    n=20,
    folder="~/Bilder/é: 1",
    method=MethodSettings("ppgn", {"epsilon1": 1e-5, "rounds": None}),
    schedule=ScheduleSettings(K=5),
)


def test_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    for settings in (SETTINGS, SampleSettings()):
        (tmp_path / "config.yaml").write_text(write_config(settings), encoding="utf-8")
        assert read_config(tmp_path) == settings


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "a: b: c", "n: many", "unknown: 1", "schedule: 3", "x: !!python/object:os.system ls", "\xff"]
)
def test_a_damaged_file_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"^.*config\.yaml: damaged: .*Put the file back as the run left it.*\.$"):
        read_config(tmp_path)
    with pytest.raises(RunFolderError, match=r"gone: there is no run here"):
        read_config(tmp_path / "gone")


def test_a_goal_is_reached_by_a_run_that_had_the_same() -> None:
    plateau = replace(SETTINGS, until="plateau", n=200, gain=0.1)
    done = goal.describe(plateau, 130, plateau=True)
    assert done == {"wanted": 130, "n": 200, "until": "plateau", "gain": 0.1}
    assert goal.describe(plateau, 200, plateau=False)["wanted"] == 200
    assert goal.is_reached(done, plateau)
    assert not goal.is_reached(done, replace(plateau, gain=0.05))
    assert not goal.is_reached(done, replace(plateau, until="n"))
    summary = {key: value for key, value in goal.describe(SETTINGS, 20, plateau=True).items() if key != "gain"}
    assert summary["wanted"] == 20
    assert goal.is_reached(summary, SETTINGS)
    assert not goal.is_reached(summary, replace(SETTINGS, n=21))
