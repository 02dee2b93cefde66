"""Baselines driven and recorded as any run is: the linear model into a folder, left and gone on with."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch import Tensor

from invset.baselines.mfv import Mfv, MfvSettings
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.search import Search
from invset.core.problem import Problem, round_to_eight_bits
from invset.core.region import Region
from invset.core.state import Method
from invset.models.linear import linear_network
from invset.models.pixels import pixel_generator
from invset.models.reader import Reader
from invset.models.starts import Starts
from invset.models.unit import parse_unit
from invset.run.folder import RunFolder
from invset.run.recorder import Recorder
from invset.run.runner import Runner

CPU = torch.device("cpu")
CHAINS, IMAGES, SHAPE = 4, 30, (3, 8, 8)
RANGE = (0.3, 0.85)


def image(number: int) -> Tensor:
    """Of a folder, as it were: 8 bits, some brighter along the unit's weights than others."""
    weights = linear_network().module.logit.weight.flatten()
    noise = torch.rand(weights.shape, generator=torch.Generator().manual_seed(number))
    return round_to_eight_bits(noise + 0.3 * (number % 5 - 2) * weights / weights.norm())


def method(name: str, problem: Problem, region: Region) -> Method:
    starts = Starts("normal", 0, CHAINS, pixel_generator(SHAPE))
    references = starts.reference_codes(8)

    def ascent(draw) -> PixelAscent:
        settings = PixelAscentSettings(step=0.004, steps=5, jitter=1)
        return PixelAscent(problem, region, draw, references, settings, SHAPE, chains=CHAINS)

    if name == "pixel_ascent":
        return ascent(starts.draw)
    if name == "mfv":
        real = torch.stack([image(number) for number in range(IMAGES)])
        return Mfv(problem, region, real, MfvSettings(clusters=3, nearest=4), ascent, chains=CHAINS)

    def look(number: int) -> Tensor | None:
        return None if number % 7 == 6 else image(number)

    return Search(problem, region, look, IMAGES, references, chains=CHAINS)


def go(name: str, path: Path, steps: int | None = None) -> Runner:
    network = linear_network()
    reader = Reader(network, [parse_unit("output:1", network)])
    region = Region.two_sided([RANGE])
    problem = Problem(pixel_generator(SHAPE).module, reader, code_bounds=(0, 1))
    new = not (path / "config.yaml").exists()
    with (
        RunFolder.create(path, "n: 1\n", {}) if new else RunFolder.reopen(path) as folder,
        closing(Recorder(folder, ["output:1"], 192, reader, region, CPU)) as recorder,
    ):
        runner = Runner(method(name, problem, region), problem, recorder, 18)
        for taken, _ in enumerate(runner.steps(), start=1):
            if taken == steps:
                break
    return runner


def data(path: Path) -> dict[str, bytes]:
    names = ("activations.csv", "trace.csv", "codes.bin")
    files = [path / name for name in names] + sorted((path / "images").iterdir())
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.parametrize("name", ["pixel_ascent", "mfv", "search"])
def test_a_run_left_and_gone_on_with_is_the_whole_run(name: str, tmp_path: Path) -> None:
    """The same files to the byte, and the same passes counted: also where facets are found a second time."""
    whole = go(name, tmp_path / "whole")
    assert whole.recorder.state.step > 3
    go(name, tmp_path / "left", 3)
    again = go(name, tmp_path / "left")
    assert data(tmp_path / "left") == data(tmp_path / "whole")
    assert again.tally._replace(seconds=0) == whole.tally._replace(seconds=0)
    assert whole.recorder.count > 3
    assert whole.tally.seed_steps == 0
    assert whole.tally.candidates == whole.recorder.count, "the image in the loop is the image saved"


def test_search_records_which_image_each_sample_is(tmp_path: Path) -> None:
    """The column `chain` is the image's number, from 1."""
    runner = go("search", tmp_path / "run")
    assert runner.state.phase == "done"
    assert runner.status == "incomplete"
    with (tmp_path / "run" / "activations.csv").open(newline="") as file:
        found = [int(row["chain"]) - 1 for row in csv.DictReader(file)]
    network = linear_network()
    images = torch.stack([image(number) for number in range(IMAGES)]).view(-1, *SHAPE)
    f = network.read(["output"], images)["output"].flatten()
    assert found == [n for n in range(IMAGES) if n % 7 != 6 and RANGE[0] <= f[n] <= RANGE[1]]
    assert runner.problem.backward_passes == 0
