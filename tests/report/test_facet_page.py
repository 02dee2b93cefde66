"""Groups in words, in CSV files and in a picture, from hand-made groups."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import pytest
import torch
from PIL import ImageColor

from invset.errors import RunFolderError
from invset.metrics.facets import Facets
from invset.report.chains import chains_of
from invset.report.facet_groups import Group, groups_csv, groups_of, samples_csv, table_of, told
from invset.report.facet_page import FRAME, ROWS, facet_picture, framed, shown_rows
from invset.report.measured import Measured
from invset.report.runs import read_run
from invset.run.images import from_picture

CHAINS = torch.tensor([1, 2, 1, 3, 1])


@pytest.fixture
def found() -> Facets:
    """Samples 0, 2 and 3 around 2; 1 and 4 around 4."""
    return Facets(
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
    return Measured("run", "paper", 5, activations, activations, ("fc8:2", "conv5:3"), ((0, 9), (0, 99)), logits=logits)


def _seen(logits: torch.Tensor) -> str:
    return f"{int(logits.argmax(dim=1).sum())} of {len(logits)}"


def _groups(found: Facets, samples: Measured) -> list[Group]:
    return groups_of(found, samples, CHAINS, _seen)


def test_groups(found, samples):
    first, second = _groups(found, samples)
    assert first.rows.tolist() == [2, 3, 0]  # the medoid, then from near to far
    assert second.rows.tolist() == [4, 1]  # before its copy
    assert (first.chains, second.chains, first.of_chains) == (2, 2, 3)
    assert first.title == (
        "group 1: 3 of 5 samples (60%), 2 of 3 chains, fc8:2 1 to 4, mean 2.667, conv5:3 10 to 40, mean 26.67"
    )
    assert (first.seen, second.seen) == ("2 of 3", "1 of 2")
    one = replace(samples, units=("fc8:2",), activations=samples.activations[:, :1])
    assert (
        groups_of(found, one, CHAINS)[1].title
        == "group 2: 2 of 5 samples (40%), 2 of 3 chains, activation 2 to 5, mean 3.5"
    )
    assert groups_of(found, one, CHAINS, None)[0].seen is None


def test_files_read_back(found, samples):
    groups, numbers = _groups(found, samples), torch.tensor([1, 3, 5, 7, 9])
    first, second = csv.DictReader(io.StringIO(groups_csv(groups, numbers)))
    assert first == {
        "group": "1", "samples": "3", "share": "0.6", "chains": "2", "medoid": "5", "silhouette": "0.5",
        "fc8:2 lowest": "1.0", "fc8:2 highest": "4.0", "fc8:2 mean": str(8 / 3),
        "conv5:3 lowest": "10.0", "conv5:3 highest": "40.0", "conv5:3 mean": str(80 / 3), "seen": "2 of 3",
    }  # fmt: skip
    assert (second["medoid"], second["seen"]) == ("9", "1 of 2")
    lines = list(csv.DictReader(io.StringIO(samples_csv(found, numbers, CHAINS))))
    assert [line["sample"] for line in lines] == ["1", "3", "5", "7", "9"]
    assert [line["group"] for line in lines] == ["1", "2", "1", "1", "2"]
    assert [line["chain"] for line in lines] == ["1", "2", "1", "3", "1"]
    assert [line["medoid"] for line in lines] == ["0", "0", "1", "0", "1"]
    assert [float(line["distance_to_medoid"]) for line in lines] == found.distances.tolist()
    header, row, _ = table_of(groups, numbers)
    assert header[:6] == ["group", "samples", "share", "chains", "medoid", "silhouette"]
    assert row == ["1", "3", "60%", "2 of 3", "5", "0.50", "1 to 4", "2.667", "10 to 40", "26.67", "2 of 3"]


def test_words(found, samples):
    groups = _groups(found, samples)
    lines = told(found, groups, None)
    assert lines[0] == (
        "Clear groups. Mean silhouette 0.400, 0.300 above that of a structureless cloud cut into as many; "
        "of 100 such clouds 2 stand out as much."
    )
    assert lines[1] == (
        "2 of 2 to 5 groups stand apart best; groups=NUMBER for another number. Ward's tree of 3 principal components."
    )
    assert lines[3].startswith("3 chains say little")
    assert told(found, groups, 2)[1].startswith("2 groups, as asked.")
    assert told(replace(found, chance=0.05), groups, None)[0].startswith("No clear groups: no more apart")
    assert "0.050 below" in told(replace(found, silhouette=0.05), groups, None)[0]
    weak = replace(found, silhouette=0.24, expected=0.01)
    assert told(weak, groups, None)[0].startswith("Weak groups: more apart than parts of one cloud")
    assert "The tree is of 4 samples" in told(replace(found, in_tree=4), groups, None)[2]
    alone = [replace(groups[0], chains=1), groups[1]]
    assert told(found, alone, None)[-1].startswith("Group 1 is of one chain alone")
    assert told(found, [replace(group, chains=1) for group in groups], None)[-1].startswith("Groups 1, 2 are of one")
    walk = [replace(group, chains=1, of_chains=1) for group in groups]
    assert told(found, walk, None)[-1] == "All samples are of one chain, a walk: groups may be stretches of it."
    assert told(found, walk, None, own_starts=True)[-1].startswith("Every sample has a start of its own")
    none = replace(found, silhouette=math.nan, expected=math.nan, chance=math.nan)
    assert told(none, groups, None) == ["No groups: no cut sets any samples apart."]
    assert told(replace(none, components=0), groups, None) == ["No groups: all samples have the same encoding."]


def test_samples_that_are_shown(found, samples):
    group = replace(_groups(found, samples)[0], rows=torch.arange(100, 200))
    assert shown_rows(group, 4) == [100, 101, 150, 199]
    assert shown_rows(group)[:2] == [100, 101]
    assert len(set(shown_rows(group))) == 10
    assert shown_rows(replace(group, rows=torch.tensor([3, 1]))) == [3, 1]


def test_frames():
    image = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(0))
    whole = framed(image, "blue")
    assert whole.shape == (3, 70, 102)
    assert torch.equal(whole[:, 3:-3, 3:-3], image)
    assert (whole[:, 0] == torch.tensor([[0.0], [0], [1]])).all()
    assert framed(torch.zeros(3, 4, 4), "white").shape == (3, 6, 6)


def test_a_row_a_group_with_its_medoid_framed(written, found, samples):
    run = read_run(written(), "paper", [(0, 9)])
    groups, chosen = _groups(found, samples), [0, 1, 2, 3, 4]
    whole = from_picture(facet_picture(run, chosen, groups, samples.activations, CHAINS, "heading"))
    red = (whole == torch.tensor(ImageColor.getrgb(FRAME)).view(3, 1, 1) / 255).all(dim=0)
    rows, columns = red.any(dim=1).nonzero()[:, 0], red.any(dim=0).nonzero()[:, 0]
    assert (rows.diff() > 1).sum() == 1  # two groups, two frames
    assert columns[-1] - columns[0] + 1 == 8 * 16  # both first in their rows: 6 + 2 pixels, enlarged 16 times
    image = next(run.images([2]))[0]
    top, left = int(rows[0]) + 16, int(columns[0]) + 16
    shown = whole[:, top : top + 64, left : left + 96]
    assert torch.equal(shown[:, ::16, ::16], image)
    many = [replace(groups[0], rows=groups[0].rows[:1])] * (ROWS + 5)
    heights = [facet_picture(run, chosen, some, samples.activations, CHAINS, "").height for some in (many, many[:ROWS])]
    assert heights[0] == heights[1]


def test_chains_of_a_run(written):
    root = written()
    run = read_run(root, "paper", [(0, 9)])
    assert chains_of(run).tolist() == [1] * 5  # the line of no sample is left out
    path = root / "activations.csv"
    text = path.read_text()
    for worse in ("x", "1.5", "9" * 30, ""):
        path.write_text(text.replace("\n3,1,", f"\n3,{worse},"))
        with pytest.raises(RunFolderError, match="a sample's chain is no number"):
            chains_of(run)
    path.write_text(text.replace("chain", "link"))
    with pytest.raises(RunFolderError, match="a sample's chain is no number"):
        chains_of(run)
    path.write_text("\n".join(text.splitlines()[:-1]))
    with pytest.raises(RunFolderError, match="changed while"):
        chains_of(run)
    path.unlink()
    with pytest.raises(RunFolderError, match="cannot be read"):
        chains_of(run)
