"""A run that is killed and continued ends with the bytes of one that was not."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.run import checkpoint
from invset.run.files import write_json
from invset.run.folder import RunFolder, extent
from invset.run.images import save_png
from invset.run.journals import CodeJournal, Journal, read_codes
from invset.run.layout import Layout
from tests.run.runs import contents

SIZE = 4
CALLS = ("write", "replace", "truncate", "unlink", "ftruncate")


def run(path: Path, steps: int) -> None:
    """A random walk of codes that writes a folder as the sampler does: from the beginning or from the checkpoint."""
    new = not Layout(path).config.exists()
    with RunFolder.create(path, "steps: 1\n", {"device": "cpu"}) if new else RunFolder.reopen(path) as folder:
        paths = folder.paths
        tensors, meta = checkpoint.load(paths.checkpoint) if paths.checkpoint.exists() else ({}, None)
        folder.rollback(meta)
        generator = torch.Generator().manual_seed(3)
        code, step = torch.zeros(SIZE), 0
        if meta is not None:
            code, step = tensors["code"], meta["step"]
            generator.set_state(tensors["generator"])
        with (
            closing(Journal(paths.activations, ["sample", "activation"])) as activations,
            closing(Journal(paths.trace, ["step", "penalty"])) as trace,
            closing(CodeJournal(paths.code_journal, SIZE)) as codes,
        ):
            while step < steps:
                step += 1
                code = code + torch.randn(SIZE, generator=generator)
                trace.append([(step, float(code.norm()))])
                if step % 2 == 0:
                    save_png(paths.image(step // 2), code[:3].sigmoid().view(3, 1, 1).expand(3, 8, 8))
                    activations.append([(step // 2, code[0].item())])
                    codes.append(code[None])
                state = {"code": code, "generator": generator.get_state()}
                written = extent(step // 2, activations, trace, codes)
                checkpoint.save(paths.checkpoint, state, {"step": step, **written})
        every = read_codes(paths.code_journal, SIZE)
        checkpoint.save(paths.codes, {"codes": every}, {})
        write_json(paths.summary, {"samples": len(every)})


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
    steps = 4
    with monkeypatch.context() as patch:
        count = be_deadly(patch, fatal=-1)
        run(tmp_path / "whole", steps)
    whole = contents(tmp_path / "whole")
    assert count[0] > 30
    for fatal in range(1, count[0] + 1):
        folder = tmp_path / str(fatal)
        for last in (fatal, 1 + fatal % 3):  # a second time, early in the way back
            with monkeypatch.context() as patch:
                be_deadly(patch, last)
                with pytest.raises(Killed):
                    run(folder, steps)
        run(folder, steps)
        assert contents(folder) == whole, f"killed at call {fatal}"


# Python 3.12 and later say so of any process with threads, as torch's and pytest-xdist's are.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_killed_at_any_moment(tmp_path: Path) -> None:
    steps, kills, clock, killed = 100, 12, random.Random(0), 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            run(tmp_path / "killed", steps)
            os._exit(0)
        time.sleep(clock.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert killed >= 3
    run(tmp_path / "killed", steps)
    run(tmp_path / "whole", steps)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
