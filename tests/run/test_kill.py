"""A run that is killed and continued ends with the bytes of one that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).with_name("toy.py")
ROOT = Path(__file__).parents[2]
CALLS = ("write", "replace", "truncate", "unlink", "ftruncate")


class Killed(BaseException):
    """Stands for SIGKILL: nothing that mends errors catches it."""


def _deadly(monkeypatch: pytest.MonkeyPatch, fatal: int) -> list[int]:
    """The call of that number to the operating system is the last; a write gets half way."""
    count = [0]

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **options: object) -> object:
            count[0] += 1
            if count[0] == fatal:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])  # type: ignore[arg-type]
                raise Killed
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)

    for name in CALLS:
        wrap(name)
    return count


def test_killed_at_every_single_call_and_continued(tmp_path, toy, contents, monkeypatch):
    steps = 5
    with monkeypatch.context() as patch:
        count = _deadly(patch, fatal=-1)
        toy(tmp_path / "whole", steps)
    whole = contents(tmp_path / "whole")
    assert count[0] > 30
    for fatal in range(1, count[0] + 1):
        folder = tmp_path / str(fatal)
        with monkeypatch.context() as patch:
            _deadly(patch, fatal)
            with pytest.raises(Killed):
                toy(folder, steps)
        with monkeypatch.context() as patch:  # a second time, early in the way back
            _deadly(patch, 1 + fatal % 3)
            with pytest.raises(Killed):
                toy(folder, steps)
        toy(folder, steps)
        assert contents(folder) == whole, f"killed at call {fatal}"


def test_processes_killed_at_any_moment(tmp_path, toy, contents):
    steps, kills = 150, 12
    killed = subprocess.run(
        [sys.executable, str(TOY), str(tmp_path / "killed"), str(steps), str(kills)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert killed.returncode == 0, killed.stderr
    assert int(killed.stdout) >= 3
    toy(tmp_path / "whole", steps)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
