"""Baselines driven and recorded as any run is: the linear model into a folder, left and gone on with."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from invset.baselines.mfv import Mfv, MfvSettings
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.search import Search
from invset.core.method import Method
from invset.core.problem import Problem, round_to_eight_bits
from invset.core.region import Region
from invset.models.linear import linear_network
from invset.models.starts import Starts
from tests.run.runs import SHAPE, Run, data, go

CHAINS, IMAGES = 4, 30
RANGE = (0.3, 0.85)


def image(number: int) -> Tensor:
    """Of a folder, as it were: 8 bits, some brighter along the unit's weights than others."""
    weights = linear_network().module.logit.weight.flatten()
    noise = torch.rand(weights.shape, generator=torch.Generator().manual_seed(number))
    return round_to_eight_bits(noise + 0.3 * (number % 5 - 2) * weights / weights.norm())


def begin(name: str, path: Path) -> Run:
    def make(problem: Problem, region: Region, starts: Starts) -> Method:
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

    return Run(path, 18, make, CHAINS, RANGE)


@pytest.mark.parametrize("name", ["pixel_ascent", "mfv", "search"])
def test_a_run_left_and_gone_on_with_is_the_whole_run(name: str, tmp_path: Path) -> None:
    """The same files to the byte, and the same passes counted: also where facets are found a second time."""
    whole = begin(name, tmp_path / "whole")
    assert len(go(whole)) > 3
    go(begin(name, tmp_path / "left"), 3)
    again = begin(name, tmp_path / "left")
    go(again)
    assert data(tmp_path / "left") == data(tmp_path / "whole")
    tally = whole.runner.tally
    assert again.runner.tally._replace(seconds=0) == tally._replace(seconds=0)
    assert tally.samples == tally.candidates > 3, "the image in the loop is the image saved"
    assert tally.seed_steps == 0


def test_search_records_which_image_each_sample_is(tmp_path: Path) -> None:
    """The column `chain` is the image's number, from 1."""
    run = begin("search", tmp_path / "run")
    go(run)
    assert (run.runner.state.phase, run.runner.status) == ("done", "incomplete")
    with (tmp_path / "run" / "activations.csv").open(newline="") as file:
        found = [int(row["chain"]) - 1 for row in csv.DictReader(file)]
    network = linear_network()
    images = torch.stack([image(number) for number in range(IMAGES)]).view(-1, *SHAPE)
    f = network.read(["output"], images)["output"].flatten()
    assert found == [n for n in range(IMAGES) if n % 7 != 6 and RANGE[0] <= f[n] <= RANGE[1]]
    assert run.runner.problem.passes.counts.backward == 0
