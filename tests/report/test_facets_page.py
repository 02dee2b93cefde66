"""Groups in words, in CSV files and in a picture, from hand-made groups."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import ImageColor

from invset.metrics.clusters import Clusters
from invset.report.facets_page import (
    EDGE,
    FRAME,
    ROWS,
    Group,
    draw_facets,
    facets_notes,
    facets_verdict,
    group_lines,
    groups_of,
    samples_csv,
)  # fmt: skip
from invset.report.readings import Measured
from invset.report.runs import FinishedRun, read_run
from invset.run.images import from_picture
from invset.settings import SampleSettings

CHAINS = torch.tensor([1, 2, 1, 3, 1])


@pytest.fixture
def found() -> Clusters:
    """Samples 0, 2 and 3 around 2; 1 and 4 around 4."""
    return Clusters(
        labels=torch.tensor([0, 1, 0, 0, 1]),
        medoids=torch.tensor([2, 4]),
        distances=torch.tensor([2.0, 0.0, 0.0, 1.0, 0.0], dtype=torch.float64),
        group_silhouettes=torch.tensor([0.5, 0.25], dtype=torch.float64),
        silhouette=0.4,
        expected=0.1,
        chance=0.02,
        components=3,
        in_tree=5,
    )


@pytest.fixture
def samples() -> Measured:
    activations = torch.tensor([[1.0, 10], [2, 20], [3, 30], [4, 40], [5, 50]])
    logits = torch.eye(2)[[0, 1, 1, 1, 0]]
    units, ranges = ("fc8:2", "conv5:3"), ((0, 9), (0, 99))
    run = FinishedRun(Path("run"), SampleSettings(), units, (None, None), ranges, activations, CHAINS, None, {})
    return Measured("run", run, range(5), activations, activations, logits=logits)


def _seen(logits: torch.Tensor) -> str:
    return f"{int(logits.argmax(dim=1).sum())} of {len(logits)}"


def _groups(found: Clusters, samples: Measured) -> list[Group]:
    return groups_of(found, samples, CHAINS, _seen)


def test_groups(found, samples):
    first, second = _groups(found, samples)
    assert first.rows.tolist() == [2, 3, 0]  # the medoid, then from near to far
    assert second.rows.tolist() == [4, 1]  # before its copy
    assert (first.chains, second.chains, first.of_chains) == (2, 2, 3)
    assert first.title == (
        "group 1: 3 of 5 samples (60%), 2 of 3 chains, fc8:2 1 to 4, mean 2.667, conv5:3 10 to 40, mean 26.67"
    )
    assert (first.top_classes, second.top_classes) == ("2 of 3", "1 of 2")
    one = replace(samples, run=replace(samples.run, units=("fc8:2",)), activations=samples.activations[:, :1])
    assert (
        groups_of(found, one, CHAINS)[1].title
        == "group 2: 2 of 5 samples (40%), 2 of 3 chains, activation 2 to 5, mean 3.5"
    )
    assert groups_of(found, one, CHAINS, None)[0].top_classes is None


def test_files_read_back(found, samples):
    groups, numbers = _groups(found, samples), torch.tensor([1, 3, 5, 7, 9])
    first, second = group_lines(groups, numbers)
    assert first == {
        "group": 1, "samples": 3, "share": 0.6, "chains": 2, "medoid": 5, "silhouette": 0.5,
        "fc8:2 lowest": 1, "fc8:2 highest": 4, "fc8:2 mean": 8 / 3,
        "conv5:3 lowest": 10, "conv5:3 highest": 40, "conv5:3 mean": 80 / 3, "seen": "2 of 3",
    }  # fmt: skip
    assert (second["medoid"], second["seen"]) == (9, "1 of 2")
    lines = list(csv.DictReader(io.StringIO(samples_csv(found, numbers, CHAINS))))
    assert [line["sample"] for line in lines] == ["1", "3", "5", "7", "9"]
    assert [line["group"] for line in lines] == ["1", "2", "1", "1", "2"]
    assert [line["chain"] for line in lines] == ["1", "2", "1", "3", "1"]
    assert [line["medoid"] for line in lines] == ["0", "0", "1", "0", "1"]
    assert [float(line["distance_to_medoid"]) for line in lines] == found.distances.tolist()


def test_notes(found, samples):
    groups = _groups(found, samples)
    first, second, *_, last = facets_notes(found, groups, None, False)
    assert first.startswith("Mean silhouette 0.400, of a structureless cloud cut into as many 0.100; ")
    assert first.endswith("of 100 such clouds 2 stand out as much.")
    assert second.startswith("2 of 2 to 5 groups stand apart best; any other number can be asked for.")
    assert last.startswith("3 chains say little")
    assert facets_notes(found, groups, 2, False)[1].startswith("2 groups, as asked.")
    assert "The tree is of 4 samples" in facets_notes(replace(found, in_tree=4), groups, None, False)[2]
    alone = [replace(groups[0], chains=1), groups[1]]
    assert facets_notes(found, alone, None, False)[-1].endswith("no kind of thing: group 1.")
    walk = [replace(group, chains=1, of_chains=1) for group in groups]
    assert facets_notes(found, walk, None, False)[-1].startswith("All samples are of one chain, a walk")
    assert facets_notes(found, walk, None, True)[-1].startswith("Every sample has a start of its own")


def test_the_verdict(found, samples):
    groups = _groups(found, samples)
    none = replace(found, silhouette=math.nan, expected=math.nan, chance=math.nan)
    walk = [replace(group, chains=1, of_chains=1) for group in groups]
    several, one, unsure = "Several kinds of thing: 2 groups", "One kind of thing", "Cannot tell"
    assert facets_verdict(found, groups, False).startswith(several)
    assert facets_verdict(replace(found, chance=0.05), groups, False).startswith(one)
    assert facets_verdict(replace(found, silhouette=0.24), groups, False).startswith(unsure)
    assert facets_verdict(found, walk, False).startswith(unsure)
    assert facets_verdict(found, walk, True).startswith(several)
    assert facets_verdict(none, groups, False).startswith(f"{one}, as far as 5 samples show")
    assert facets_verdict(replace(none, components=0), groups, False).startswith(f"{one}: ")
    assert facets_notes(none, groups, None, False) == []


def test_a_row_a_group_with_its_medoid_framed(written, found, samples):
    run = read_run(written())
    samples = replace(samples, run=run, activations=run.activations)
    groups = _groups(found, samples)
    whole = from_picture(draw_facets(samples, groups, "title"))
    red = (whole == torch.tensor(ImageColor.getrgb(FRAME)).view(3, 1, 1) / 255).all(dim=0)
    rows, columns = red.any(dim=1).nonzero()[:, 0], red.any(dim=0).nonzero()[:, 0]
    assert (rows.diff() > 1).sum() == 1  # two groups, two frames
    factor = 21  # 6 pixels enlarged to about 128
    assert columns[-1] - columns[0] + 1 == 6 * factor + 2 * EDGE  # both first in their rows
    image = next(samples.run.images([2]))[0]
    top, left = int(rows[0]) + EDGE, int(columns[0]) + EDGE
    shown = whole[:, top : top + 4 * factor, left : left + 6 * factor]
    assert torch.equal(shown[:, ::factor, ::factor], image)
    many = [replace(groups[0], rows=groups[0].rows[:1])] * (ROWS + 5)
    heights = [draw_facets(samples, some, "").height for some in (many, many[:ROWS])]
    assert heights[0] == heights[1]
