"""A run that is killed and continued ends with the bytes of one that was not."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.run.runs import DRAWN, Run, data, drawing, go

CALLS = ("write", "replace", "rename", "truncate", "unlink", "ftruncate")


def run(path: Path, wanted: int) -> Any:
    """From the beginning or from the checkpoint, whichever there is, to the end; what was counted but for seconds."""
    begun = Run(path, wanted, drawing(None), DRAWN, (0.3, 0.7))  # some images are out of range
    go(begun)
    return begun.runner.tally._replace(seconds=0)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that mends errors catches it."""


def be_deadly(monkeypatch: pytest.MonkeyPatch, fatal: int) -> list[int]:
    """The call of that number to the operating system is the last; a write gets half way. Counts the calls."""
    count = [0]

    def wrap(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any) -> Any:
            count[0] += 1
            if count[0] == fatal:
                if name.startswith("write"):
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                raise Killed
            return real(*args)

        monkeypatch.setattr(owner, name, call)

    for name in CALLS:
        wrap(os, name)
    wrap(Path, "write_bytes")
    return count


def test_killed_at_every_single_call_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = 5
    with monkeypatch.context() as patch:
        count = be_deadly(patch, fatal=-1)
        tally = run(tmp_path / "whole", wanted)
    whole = data(tmp_path / "whole")
    assert tally.steps > 1
    assert count[0] > 30
    for fatal in range(1, count[0] + 1):
        folder = tmp_path / str(fatal)
        for last in (fatal, 1 + fatal % 3):  # a second time, early in the way back
            with monkeypatch.context() as patch:
                be_deadly(patch, last)
                with pytest.raises(Killed):
                    run(folder, wanted)
        assert run(folder, wanted) == tally, f"killed at call {fatal}"
        assert data(folder) == whole, f"killed at call {fatal}"


# Python 3.12 and later say so of any process with threads, as torch's and pytest-xdist's are.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_killed_at_any_moment(tmp_path: Path) -> None:
    wanted, kills, clock, killed = 100, 12, random.Random(0), 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            run(tmp_path / "killed", wanted)
            os._exit(0)
        time.sleep(clock.uniform(0.01, 0.06))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert killed >= 3
    assert run(tmp_path / "killed", wanted) == run(tmp_path / "whole", wanted)
    assert data(tmp_path / "killed") == data(tmp_path / "whole")
