"""The toy run of conftest.py. As a script: `toy.py FOLDER STEPS KILLS`, killed and continued KILLS times."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from invset.run import checkpoint
from invset.run.codes import CodeJournal, read_codes
from invset.run.folder import RunFolder, extent
from invset.run.images import save_png
from invset.run.journal import Journal
from invset.run.layout import Layout

SIZE = 4


def run(path: Path, steps: int) -> None:
    """A random walk of codes, from the beginning or from the checkpoint, whichever there is."""
    new = not Layout(path).config.exists()
    with RunFolder.create(path, "steps: 1\n", {"device": "cpu"}) if new else RunFolder.reopen(path) as folder:
        saved = folder.paths.checkpoint.exists()
        tensors, meta = checkpoint.load(folder.paths.checkpoint) if saved else ({}, None)
        folder.rollback(meta)
        generator = torch.Generator().manual_seed(3)
        code, step = torch.zeros(SIZE), 0
        if meta is not None:
            code, step = tensors["code"], meta["step"]
            generator.set_state(tensors["generator"])
        with (
            Journal.open(folder.paths.activations, ["sample", "activation"]) as activations,
            Journal.open(folder.paths.trace, ["step", "penalty"]) as trace,
            CodeJournal.open(folder.paths.code_journal, SIZE) as codes,
        ):
            while step < steps:
                step += 1
                code = code + torch.randn(SIZE, generator=generator)
                trace.append([(step, float(code.norm()))])
                if step % 2 == 0:
                    save_png(folder.paths.image(step // 2), code[:3].sigmoid().view(3, 1, 1).expand(3, 8, 8))
                    activations.append([(step // 2, code[0].item())])
                    codes.append(code[None])
                state = {"code": code, "generator": generator.get_state()}
                written = extent(step // 2, activations, trace, codes)
                checkpoint.save(folder.paths.checkpoint, state, {"step": step, **written})
        every = read_codes(folder.paths.code_journal, SIZE)
        checkpoint.save(folder.paths.codes, {"codes": every}, {})
        folder.write_summary({"samples": len(every)})


def _kill_and_continue(path: Path, steps: int, kills: int) -> int:
    clock, killed = random.Random(0), 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            run(path, steps)
            os._exit(0)
        time.sleep(clock.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    run(path, steps)
    return killed


if __name__ == "__main__":
    print(_kill_and_continue(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
