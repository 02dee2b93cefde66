"""Kill runs, and cut their power, at random file operations; let them go on; compare every byte with runs left alone.

    python scripts/campaign.py kills=1000 cuts=1000 seed=0

Runs are of the linear model, over methods, a sweep and an extension, flushed to the disk often, so that every operation
comes up in seconds. A killed run is resumed; a power cut leaves what the disk of `simulated_disk.py` may leave. Prints
a line for each kind of run, and ends with 1 if a byte was wrong, a sample lost, or an error was not one line; what did
is left in the folder that it names.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from omegaconf import OmegaConf

from invset.cli import main as cli
from invset.run import recorder
from simulated_disk import Disk, PowerCut

QUICK = ("experiment=linear", "schedule.K=4", "n=26", "seed=3", "device=cpu", "threads=1")
NARROW = "range=[0.85,0.852]"  # so that there is seeding to be killed in
Commands = tuple[tuple[str, ...], ...]
KINDS: dict[str, Commands] = {
    "multistart": (("method=multistart", NARROW),),
    "paper": (("method=paper", NARROW),),
    "full": (("method=full", "n=6", "batch_size=2", NARROW),),
    "ppgn": (("method=ppgn", "range=[0.5,0.9]"),),
    "plateau": (("method=multistart", "until=plateau", "n=210", "range=[0.6,0.9]"),),
    "extended": (("method=multistart", "n=12", NARROW), ("n=26",)),
}
COMPARED = ("activations.csv", "trace.csv", "codes.safetensors", "codes.bin", "samples.png")


@dataclass
class Settings:
    """How many of each, over all kinds of run; the random seed."""

    kills: int = 1000
    cuts: int = 1000
    seed: int = 0


def main() -> None:
    """Do the campaign."""
    given = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(sys.argv[1:]))
    settings = OmegaConf.to_object(given)
    assert isinstance(settings, Settings)
    print(f"seed={settings.seed}: {settings.kills} kills, {settings.cuts} power cuts", flush=True)
    chance = random.Random(settings.seed)
    place = Path(tempfile.mkdtemp(prefix="invset-campaign-"))
    wrong: list[str] = []
    for name, commands in KINDS.items():
        whole, operations = run_whole(place / f"{name}-whole", commands)
        found: Counter[str] = Counter()
        for what, total in (("kill", settings.kills), ("cut", settings.cuts)):
            for number in range(-(-total // len(KINDS))):
                folder = place / f"{name}-{what}-{number}"
                fatal = chance.randrange(1, operations + 1)
                ended = survive(folder, commands, fatal, chance if what == "cut" else None, whole)
                found[f"{what}s: {ended}"] += 1
                if ended == "same bytes":
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    wrong.append(f"{folder}: at operation {fatal}: {ended}")
        counts = ", ".join(f"{count} {ended}" for ended, count in sorted(found.items()))
        print(f"{name}, {operations} operations: {counts}", flush=True)
    print("\n".join(wrong) or "every run ended with the bytes of the one that was left alone")
    if not wrong:
        shutil.rmtree(place)
    sys.exit(bool(wrong))


def run_whole(folder: Path, commands: Commands) -> tuple[dict[str, bytes], int]:
    """The bytes of a run that is left alone, and how many operations it takes."""
    folder.mkdir()
    disk = Disk(folder)
    with disk.watching(), quiet():
        for number, command in enumerate(commands):
            start(folder, command, first=number == 0)
    return read(folder), disk.calls


def survive(folder: Path, commands: Commands, fatal: int, chance: random.Random | None, whole: dict[str, bytes]) -> str:
    """Stop at an operation, go on until all commands are done, and say how it ended; `chance`: after a power cut."""
    folder.mkdir()
    disk = Disk(folder, fatal)
    with quiet() as said:
        try:
            with disk.watching():
                for number, command in enumerate(commands):
                    start(folder, command, first=number == 0)
        except PowerCut:
            if chance is not None:
                left = folder / "left"
                disk.leave(left, chance)
                for path in folder.iterdir():
                    if path != left:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                for path in left.iterdir():
                    path.rename(folder / path.name)
                left.rmdir()
            try:
                for command in (commands[0], *commands):
                    start(folder, command, first=not (folder / "config.yaml").exists())
            except Exception:
                return f"traceback: {traceback.format_exc().splitlines()[-1]}"
        except Exception:
            return f"traceback: {traceback.format_exc().splitlines()[-1]}"
    if "Traceback" in said.getvalue():
        return "traceback"
    now = read(folder)
    different = sorted(name for name in whole.keys() | now.keys() if whole.get(name) != now.get(name))
    return f"{', '.join(different[:3])} differ: {said.getvalue()[-300:]!r}" if different else "same bytes"


def start(folder: Path, command: tuple[str, ...], first: bool) -> None:
    """Begin a run in a folder, or go on with it; one that says it was finished with more samples is left alone."""
    where = (*QUICK, *command, f"hydra.run.dir={folder}") if first else (f"resume={folder}", *own(command))
    cli.run(["sample", *where, "hydra.output_subdir=null"])


def own(command: tuple[str, ...]) -> list[str]:
    """Of a command what may be given again to a run that is resumed."""
    return [one for one in command if one.startswith("n=")]


def read(folder: Path) -> dict[str, bytes]:
    """The bytes of what a run has written of its samples."""
    files = [folder / name for name in COMPARED if (folder / name).is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in [*files, *(folder / "images").glob("*")]}


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """What is printed; runs flush to the disk at every third checkpoint or so."""
    ticks = itertools.count(0, recorder.FLUSH_EVERY / 2.5)
    said = io.StringIO()
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        mock.patch.object(recorder.Recorder.__init__, "__defaults__", (None, lambda: next(ticks))),  # draw, clock
    ):
        yield said


if __name__ == "__main__":
    os.environ["HYDRA_FULL_ERROR"] = "1"
    main()
