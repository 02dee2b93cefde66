"""Runs and sweeps that are begun in the same second each have a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from invset.cli.app import make_folder

QUICK = ("sample", "experiment=linear", "n=8", "schedule.K=4", "range=[0.6,0.7]")
SECOND = "12-00-00"


@pytest.fixture
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra's clock stands still."""
    from datetime import datetime

    import hydra.core.utils

    class Still(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2030, 1, 2, 12, 0, 0)

    monkeypatch.setattr(hydra.core.utils, "datetime", Still)


def folders(parent: Path) -> list[str]:
    return sorted(path.name for path in parent.iterdir())


@pytest.mark.usefixtures("_one_second")
def test_two_runs(invset, here):
    for seed in (0, 1):
        result = invset(*QUICK, f"seed={seed}")
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines()[-1] == f"outputs/2030-01-02/{SECOND}{'-2' * seed}/samples.png"
    for seed, name in enumerate(folders(here / "outputs" / "2030-01-02")):
        folder = here / "outputs" / "2030-01-02" / name
        assert f"seed: {seed}\n" in (folder / "config.yaml").read_text()
        assert f"seed={seed}" in (folder / ".hydra" / "overrides.yaml").read_text(), "Hydra's record is its own too"
        assert len(list((folder / "images").iterdir())) == 8


@pytest.mark.usefixtures("_one_second")
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_two_sweeps(invset, here, launcher):
    if launcher == "joblib":
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for seeds in ("0,1", "2,3"):
        # One job at once: joblib then does it in this process, in this folder.
        chosen = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1") if launcher == "joblib" else ()
        assert invset(*QUICK, "-m", f"seed={seeds}", *chosen).code == 0
    parent = here / "outputs" / "sweeps" / "2030-01-02"
    assert folders(parent) == [SECOND, f"{SECOND}-2"]
    configs = [(parent / name / job / "config.yaml").read_text() for name in folders(parent) for job in "01"]
    assert all(f"seed: {seed}\n" in text for seed, text in enumerate(configs))
    assert (parent / SECOND / "overview.png").is_file()


@pytest.mark.usefixtures("_one_second")
def test_a_run_that_never_began_and_configs_that_are_shown_leave_none(invset, here):
    assert invset(*QUICK, "starts=codes", "folder=missing").code == 2
    assert invset(*QUICK, "--cfg", "all", "--resolve").code == 0
    assert folders(here) == []


def test_a_folder_that_the_user_chose_is_taken_once(invset, here):
    assert invset(*QUICK, "hydra.run.dir=mine").code == 0
    result = invset(*QUICK, "hydra.run.dir=mine")
    assert result.code == 1
    assert "mine: holds a run already" in result.err
    assert folders(here) == ["mine"]


def test_what_is_in_the_way_is_left_to_others(here):
    (here / "file").write_text("")
    assert make_folder("file/run") == "file/run"
    assert [make_folder("a/b") for _ in range(3)] == ["a/b", "a/b-2", "a/b-3"]
