"""The paper's networks at full size from the command line, random weights in files of Caffe's: images of noise.

INVSET_SLOW=1 for the paper's K = 10 and n = 50, and for an intersection: some minutes on a CPU.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.caffe_nets import GENERATORS, caffenet

SLOW = bool(os.environ.get("INVSET_SLOW"))
FILES = ("network=caffenet", "network.weights=net.caffemodel", "generator=ppgn", "generator.weights=ppgn.caffemodel")
QUICK = ("codes=4", "chains=2", "steps=8", "threads=1")
PROGRAM = "import sys; from invset.cli.main import main; main()"
SECONDS = 1800


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The two files, the network's as V1 and the generator's as V2."""
    path = tmp_path_factory.mktemp("caffenet")
    net, generator = caffenet(), GENERATORS["fc6"]
    net.write(path / "net.caffemodel", net.weights(), version=1, legacy=True)
    generator.write(path / "ppgn.caffemodel", generator.weights(), version=2)
    yield path
    shutil.rmtree(path)


def invset(folder: Path, *arguments: str) -> str:
    """In a process of its own."""
    program = (sys.executable, "-W", "error", "-c", PROGRAM)
    done = subprocess.run((*program, *arguments), cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def suggested(printed: str) -> list[str]:
    """Of each unit the middle one of the ranges to try."""
    units: dict[str, list[str]] = {}
    for unit, limits in re.findall(r"invset sample neuron=(\S+) 'range=(\[.*?\])'", printed):
        units.setdefault(unit, []).append(limits)
    return [ranges[len(ranges) // 2] for ranges in units.values()]


def require_delivered(folder: Path, run: str, samples: int) -> None:
    summary = json.loads((folder / run / "summary.json").read_text())
    assert (summary["status"], summary["samples"], summary["in_range_as_saved"]) == ("complete", samples, 1.0)
    assert len(list((folder / run / "images").iterdir())) == samples


def test_probe_and_sample(folder: Path) -> None:
    printed = invset(folder, "probe", *FILES, "neuron=fc8:volcano", *QUICK)
    (limits,) = suggested(printed)
    small = ("n=5", "schedule.K=2", "threads=1", "hydra.run.dir=run")
    printed = invset(folder, "sample", *FILES, "neuron=fc8:volcano", f"range={limits}", *small)
    assert printed.startswith("fc8:981 volcano in [")
    require_delivered(folder, "run", 5)
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert [entry["file"] for entry in manifest["weights"]] == ["net.caffemodel", "ppgn.caffemodel"]


@pytest.mark.skipif(not SLOW, reason="minutes; set INVSET_SLOW=1")
def test_the_papers_schedule(folder: Path) -> None:
    printed = invset(folder, "probe", *FILES, "neuron=fc8:volcano")
    (limits,) = suggested(printed)
    invset(folder, "sample", *FILES, "neuron=fc8:volcano", f"range={limits}", "n=50", "hydra.run.dir=paper")
    require_delivered(folder, "paper", 50)


@pytest.mark.skipif(not SLOW, reason="minutes; set INVSET_SLOW=1")
def test_an_intersection(folder: Path) -> None:
    """Of an fc8 unit and one in the middle of conv5."""
    units = "neuron=[conv5:13,fc8:volcano]"
    ranges = suggested(invset(folder, "probe", *FILES, units))
    assert len(ranges) == 2
    both = f"range=[{','.join(ranges)}]"
    invset(folder, "sample", *FILES, units, both, "n=50", "hydra.run.dir=both")
    require_delivered(folder, "both", 50)
