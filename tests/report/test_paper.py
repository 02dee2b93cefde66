"""A figure's note, numbers and picture, from runs written by hand."""

from __future__ import annotations

import csv
import io

import pytest
import torch

from invset.report import paper
from invset.report.claims import Claim
from invset.report.comparison import compared
from invset.report.measured import Measured, Row
from invset.report.paper_tables import spread, table, titles_of
from invset.report.runs import read_run

RANGES = ((1.0, 3.0),)


def _measurement(written, title: str = "g", counts: tuple[int, ...] = (5, 5), scale: float = 1.0, **more):
    runs, samples = [], []
    for index, count in enumerate(counts):
        folder = written(f"{title}{index}", n=count, status="complete", wanted=5)
        runs.append(read_run(folder, "paper", RANGES))
        generator = torch.Generator().manual_seed(index)
        encodings = torch.randn(count if count >= 2 else 0, 4, generator=generator) * (scale if index else 1)
        activations = runs[-1].activations[: len(encodings)]
        samples.append(Measured(f"r{index}", "paper", count, encodings, activations, ("fc8:2",), RANGES, wanted=5.0))
    names = tuple(f"r{index}" for index in range(len(counts)))
    titles = tuple(f"row {index}" for index in range(len(counts)))
    return paper.Measurement(
        title, names, titles, runs, samples, compared(samples, 10.0, 0.1), "in fc6 of mini", **more
    )


def _figure(**more) -> paper.Figure:
    settings = {
        "title": "A figure", "shows": "Two rows.", "images": 3, "pick": "activation", "columns": 10, "picture": "rows",
        "measures": ("delivered", "mean_pairwise_distance", "no_such_measure"), "claims": (), "remarks": (),
    }  # fmt: skip
    return paper.Figure(**(settings | more))


def test_numbers_are_the_cells_of_the_comparison(written):
    one, two = _measurement(written, "a"), _measurement(written, "b", scale=3.0)
    lines = list(csv.DictReader(io.StringIO(paper.numbers_csv([one, two]))))
    assert [(line["group"], line["run"]) for line in lines] == [("a", "r0"), ("a", "r1"), ("b", "r0"), ("b", "r1")]
    for line, (group, name) in zip(lines, [(one, "r0"), (one, "r1"), (two, "r0"), (two, "r1")], strict=True):
        estimate = group.cell(name, "mean_pairwise_distance")
        assert (float(line["mean_pairwise_distance"]), float(line["mean_pairwise_distance_low"])) == estimate[:2]
    assert lines[0]["distance_ratio"] == ""
    assert float(lines[3]["distance_ratio"]) == two.cell("r1", "distance_ratio").value


def test_a_note_of_one_group_has_runs_side_by_side(written):
    claim = Claim("row 1 is the more varied", "distance_ratio", "r1", "below", value=1, paper="2 to 1")
    group = _measurement(written, "", scale=30.0)
    figure = _figure(claims=(claim,), remarks=("A remark | with a bar.",))
    (judgement,) = judgements = paper.judged(figure, [group])
    text = paper.note(figure, [group], judgements, "x.png")
    assert "![A figure](x.png)" in text
    assert "A remark \\| with a bar." in text
    assert f"| row 1 is the more varied (2 to 1) | {judgement.words()} |" in text
    assert judgement.words().startswith("Holds: ")
    assert "|  | row 0 | row 1 |\n| --- | ---: | ---: |\n| share of the wanted samples | 1 | 1 |" in text
    assert "5 samples of each run are compared" in text
    assert "Distances are in fc6 of mini." in text
    assert text.count("no_such_measure") == text.count("There is no measure no_such_measure.") == 1


def test_our_own_questions_stand_apart_from_the_papers_claims(written):
    group = _measurement(written, "")
    claims = tuple(
        Claim(says, "samples", "r0", "above", value=1, ours=ours) for says, ours in (("A?", True), ("B", False))
    )
    figure = _figure(claims=claims)
    text = paper.note(figure, [group], paper.judged(figure, [group]), "x.png")
    first, second = text.index("| the paper says | here |"), text.index("| asked beyond the paper | here |")
    assert first < text.index("| B |") < second < text.index("| A? |")


def test_which_samples_are_shown(written):
    folder = written("chains", n=9, status="complete")
    path = folder / "activations.csv"
    lines = path.read_text().splitlines()
    order = [3, 1, 2, 2, 1, 3, 3, 2, 1]  # of chains
    pairs = zip(lines[2:], order, strict=True)
    path.write_text("\n".join([*lines[:2], *(line.replace(",1,", f",{chain},", 1) for line, chain in pairs)]))
    run = read_run(folder, "paper", RANGES)
    assert paper.shown_rows(run, _figure(pick="chains")) == [4, 3, 5]  # the middle ones of chains 1, 2 and 3
    assert paper.shown_rows(run, _figure(pick="chains", images=2)) == [4, 3]
    assert paper.shown_rows(run, _figure(pick="activation")) == [0, 4, 8]  # activations rise
    assert paper.shown_rows(run, _figure(pick="chains", images=9)) == list(range(9))


def test_many_groups_are_summed_up_by_row(written):
    groups = [_measurement(written, f"g{index}", counts=(5, 5, 0), scale=index + 1) for index in range(4)]
    text = table(("samples", "mean_pairwise_distance"), groups)
    lines = text.splitlines()
    assert lines[0].startswith("| median of 4 (lowest to highest) | samples in the folder | mean pairwise distance |")
    assert lines[2].startswith("| row 0 | 5 (5 to 5) |")
    assert lines[4] == "| row 2 | 0 (0 to 0) | - |"
    values = sorted(group.cell("r1", "mean_pairwise_distance").value for group in groups)
    middle = (values[1] + values[2]) / 2
    assert f"| {middle:.4g} ({values[0]:.4g} to {values[3]:.4g}) |" in lines[3]


def test_a_line_a_group_where_measures_name_their_row(written):
    groups = [_measurement(written, "a", paper=1.5), _measurement(written, "b")]
    lines = table(("r0.samples", "r1.distance_ratio"), groups).splitlines()
    titles = ["row 0: samples in the folder", "row 1: mean distance of row 0 over this one's", "the paper's"]
    assert lines[0] == f"|  | {' | '.join(titles)} |"
    assert lines[2].endswith("| 1.5 |")
    assert lines[3].startswith("| b | 5 |")
    assert lines[3].endswith("| - |")


def test_titles_that_differ_by_a_width_lose_it(written):
    one, two = _measurement(written, "a"), _measurement(written, "b", scale=2.0)
    assert titles_of([one])["vendi_gaussian"].startswith("Vendi score, Gaussian of width ")
    assert titles_of([one, two])["vendi_gaussian"] == "Vendi score, Gaussian"


def test_what_is_spread_over_groups():
    assert spread([3.0, None, 1.0, "x", float("nan")]) == "2 (1 to 3)"
    assert spread([4.0]) == "4"
    assert spread([None, None]) == "-"


def test_runs_that_came_short_are_named(written):
    group = _measurement(written, "", counts=(5, 1))
    text = paper.note(_figure(), [group], [], "x.png")
    assert "row 1 has 1 samples, too few to compare." in text


@pytest.mark.parametrize("picture", ["rows", "forest"])
def test_pictures(written, picture):
    groups = [_measurement(written, "a"), _measurement(written, "b", counts=(5, 0))]
    drawn = paper.picture(_figure(picture=picture), groups)
    assert min(drawn.size) > 100


def test_a_ratio_that_is_none_stays_out_of_the_mean(written):
    """Equal samples in every run: the ratio is one of two zeros."""
    good, bad = _measurement(written, "a"), _measurement(written, "b")
    rows = [Row(row.key, row.title, (None, float("nan"))) if row.key == "distance_ratio" else row for row in bad.rows]
    bad = paper.Measurement(bad.title, bad.names, bad.titles, bad.runs, bad.samples, rows, bad.where)
    assert paper.picture(_figure(picture="forest"), [good, good, bad]).size
