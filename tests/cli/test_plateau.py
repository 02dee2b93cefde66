"""`until=plateau`: where a run ends, what it says and writes, and that it may be killed, gone on with and extended."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from invset.run import goal
from invset.run.journals import Journal
from invset.settings import SampleSettings

SHORT = ("experiment=linear", "schedule.K=4", "method=paper")


class Killed(BaseException):
    """Stands for SIGKILL: after it the process does nothing more."""


def summary(folder: Path) -> dict:
    values = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in values.items() if key not in ("seconds", "peak_memory_bytes")}


def images(folder: Path) -> np.ndarray:
    files = sorted((folder / "images").iterdir())
    return np.stack([np.asarray(Image.open(file), dtype=float).ravel() / 255 for file in files])


def counted(folder: Path) -> list[bool]:
    """Which samples are unlike all new ones before them; the linear model's encodings are the images."""
    radius, kept, new = summary(folder)["unrelated_distance"] / 2, [], []
    for image in images(folder):
        new.append(all(np.linalg.norm(image - other) > radius for other in kept))
        if new[-1]:
            kept.append(image)
    return new


def of_same_bytes(folder: Path) -> dict[str, bytes]:
    names = ("activations.csv", "trace.csv", "codes.bin", "coverage.csv", "coverage.png", "samples.png")
    files = [folder / name for name in names] + sorted((folder / "images").iterdir())
    return {file.name: file.read_bytes() for file in files}


def test_it_ends_at_the_plateau_and_says_so(invset, plateau_run, rows):
    written = summary(plateau_run)
    new = counted(plateau_run)
    assert written["status"] == "complete"
    assert written["plateau"] is True
    assert 200 <= written["samples"] == written["wanted"] < written["n"] == 300
    assert (written["until"], written["gain"]) == ("plateau", 0.05)
    assert sum(new[-100:]) < 5
    lines = rows(plateau_run / "coverage.csv")
    assert [line["new"] == "1" for line in lines] == new
    assert float(lines[-1]["coverage"]) == 1 - sum(new[-100:]) / 100
    told = written["coverage"]
    assert (told["new"], told["new_of_last"], told["last"]) == (sum(new), sum(new[-100:]), 100)
    with Image.open(plateau_run / "coverage.png") as picture:
        assert min(picture.size) > 300
    result = invset("sample", f"resume={plateau_run}")
    assert result.code == 0
    assert f"this run came to its plateau with {written['samples']} samples; nothing to do" in result.out


def test_what_is_said_at_the_end(invset, here, plateau_run):
    samples = summary(plateau_run)["samples"]
    result = invset("sample", *SHORT, "n=300", "until=plateau", "hydra.run.dir=run")
    assert (result.code, result.err) == (0, "")
    assert f"\n{samples} samples in range until the plateau, " in result.out
    assert re.search(
        r"\n\d+ distinct images; few more would come with a larger n: (\d|none) of the last 100 were new\n", result.out
    )
    assert "no plateau" not in result.out
    assert of_same_bytes(here / "run") == of_same_bytes(plateau_run)


def test_without_a_plateau_it_ends_at_n_and_says_what_to_do(invset, here):
    """A start of its own for every sample, in pixels: all are unlike each other."""
    result = invset("sample", *SHORT[:2], "method=multistart", "n=200", "until=plateau", "hydra.run.dir=run")
    assert (result.code, result.err) == (0, "")
    assert "200 of 200 samples" in result.out
    assert "no plateau by n=200: it takes fewer than 5 new of 100 (gain=0.05); to go on: " in result.out
    assert "invset sample resume=run n=400" in result.out
    written = summary(here / "run")
    assert (written["status"], written["plateau"], written["wanted"]) == ("complete", False, 200)
    assert sum(counted(here / "run")[-100:]) == written["coverage"]["new_of_last"] >= 5


def test_every_run_tells_its_coverage(linear_run, mini_run, rows):
    for folder, count in ((linear_run, 22), (mini_run, 14)):
        written = summary(folder)
        assert len(rows(folder / "coverage.csv")) == written["coverage"]["last"] == count
        assert (written["until"], "plateau" in written) == ("n", False)
        assert not (folder / "coverage.png").exists()
    assert [row["new"] == "1" for row in rows(linear_run / "coverage.csv")] == counted(linear_run)


def test_of_few_samples_nobody_knows_whether_more_would_come(invset, here):
    result = invset("sample", *SHORT, "n=9")
    assert re.search(r"\n\d distinct images?\n", result.out)
    assert "no plateau" not in result.out


def test_killed_and_gone_on_with_it_ends_where_it_would_have(invset, here, plateau_run, monkeypatch, rows):
    dice = random.Random(1)
    appends = summary(plateau_run)["gradient_steps"]
    appends += len({row["step"] for row in rows(plateau_run / "activations.csv")})
    for share in (0.3, 0.95):
        folder, count, real = here / str(share), [0], Journal.append
        fatal = int(share * appends) + dice.randint(0, 3)

        def append(self, lines, count=count, fatal=fatal, real=real):
            count[0] += 1
            if count[0] >= fatal:
                raise Killed
            real(self, lines)

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", append)
            with pytest.raises(Killed):
                invset("sample", *SHORT, "n=300", "until=plateau", f"hydra.run.dir={folder}")
        assert invset("sample", f"resume={folder}").code == 0
        assert of_same_bytes(folder) == of_same_bytes(plateau_run)
        assert summary(folder) == summary(plateau_run)


def test_extended_to_n_without_a_plateau(invset, here, copied, plateau_run):
    folder = copied(plateau_run)
    more = summary(folder)["samples"] + 10
    assert invset("sample", f"resume={folder}", "until=n", f"n={more}").code == 2, "n may not shrink"
    result = invset("sample", f"resume={folder}", "until=n")
    assert (result.code, result.err) == (0, "")
    assert "300 of 300 samples" in result.out
    saved = yaml.safe_load((folder / "config.yaml").read_text())
    assert (saved["until"], saved["n"], saved["gain"]) == ("n", 300, 0.05)
    assert summary(folder)["wanted"] == 300
    result = invset("sample", f"resume={folder}")
    assert "this run has all its 300 samples; nothing to do" in result.out


def test_extended_and_still_until_the_plateau_it_says_what_to_do(invset, copied, plateau_run):
    folder, samples = copied(plateau_run), summary(plateau_run)["samples"]
    result = invset("sample", f"resume={folder}", "n=400")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[1] == f"going on from the last checkpoint, with {samples} samples"
    assert lines[2] == (
        f"this run came to its plateau with {samples} samples; nothing to do. "
        f"For more: invset sample resume={folder.name} until=n n=400"
    )
    assert "400 of 400 samples" in invset("sample", f"resume={folder}", "until=n", "n=400").out


def test_another_gain_is_obeyed_and_kept(invset, copied, plateau_run):
    folder = copied(plateau_run)
    result = invset("sample", f"resume={folder}", "gain=0.001")
    assert (result.code, result.err) == (0, "")
    written = summary(folder)
    assert written["gain"] == 0.001
    assert sum(counted(folder)[-100:]) == 0 or written["samples"] == 300
    assert "nothing to do" in invset("sample", f"resume={folder}").out


def test_a_sweep_is_extended_too(invset, here):
    sweep = ("sample", "-m", *SHORT, "seed=0,1", "n=200", "hydra.sweep.dir=sweep")
    assert invset(*sweep).code == 0
    assert "done already" in invset(*sweep).out
    assert invset("sample", "resume=sweep", "n=210", "until=plateau").code == 0
    for job in ("0", "1"):
        assert summary(here / "sweep" / job)["until"] == "plateau"
    again = invset("sample", "resume=sweep", "n=210", "until=plateau").out
    assert again.count("done already") == 2
    assert invset(*sweep).code == 2, "its own command says less than it has become"


def test_distances_are_between_encodings_whatever_is_maximised(invset, here, mini, mini_run):
    assert invset(*mini, "n=4", "objective.between=codes", "hydra.run.dir=run").code == 0
    assert summary(here / "run")["unrelated_distance"] == pytest.approx(summary(mini_run)["unrelated_distance"], 1e-6)


def test_the_goal_of_a_summary():
    settings, plateau = SampleSettings(n=300), SampleSettings(n=300, until="plateau")
    ended = goal.describe(plateau, 210, plateau=True)
    assert ended == {"wanted": 210, "n": 300, "until": "plateau", "gain": 0.05}
    assert goal.is_reached(ended, plateau)
    assert not goal.is_reached(ended, SampleSettings(n=300, until="plateau", gain=0.01))
    assert not goal.is_reached(ended, settings)
    assert goal.is_reached(goal.describe(settings, 300, plateau=True), SampleSettings(n=300, gain=0.5)), "n, any gain"
    assert goal.describe(settings, 300, plateau=True)["wanted"] == 300
