"""A figure's note, numbers and picture, from runs written by hand."""

from __future__ import annotations

import csv
import dataclasses
import io
import math

import pytest
import torch

from invset.metrics.estimate import Estimate
from invset.report import paper
from invset.report.claims import Claim
from invset.report.comparison import compared
from invset.report.measured import Measured, Row
from invset.report.paper_ratios import across, ratio
from invset.report.paper_tables import spread, table, titles_of
from invset.report.prose import as_read, in_markdown
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
        "forest": "mean_pairwise_distance", "ratios": (), "differences": (),
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


# The first row over the others, for all groups.


def _three(written):
    return [_measurement(written, name, (5, 5, 5), scale=scale) for name, scale in (("a", 1), ("b", 2), ("c", 4))]


def test_ratios_of_measures_against_each_other_row(written):
    """Geometric means over groups, worked out from the cells."""
    groups = _three(written)
    text = across(("vendi_gaussian",), ("near_duplicate_share",), groups)
    header, _, ratios, differences = (line.strip("| ").split(" | ") for line in text.splitlines())
    assert header == ["row 0 against row 1", "row 0 against row 2"]
    for column, row in ((1, "r1"), (2, "r2")):
        found = [g.cell("r0", "vendi_gaussian").value / g.cell(row, "vendi_gaussian").value for g in groups]
        mean = math.exp(sum(map(math.log, found)) / 3)
        above = sum(one > 1 for one in found)
        assert ratios[column].startswith(f"× {mean:.4g} \\[")
        assert ratios[column].endswith(f"{above} above, {3 - above} below")
    assert differences[0] == "share of near-duplicates"
    assert differences[1] == "+0.000 \\[+0.000, +0.000\\]; 0 more, 0 less"


def test_a_ratio_of_one_group_adds_up_relative_errors(written):
    """The interval of a ratio of two independent log-normal numbers."""
    group = _measurement(written, "a")
    rows = [Row("x", "x", (Estimate(8.0, 4.0, 16.0), Estimate(2.0, 1.0, 4.0))), Row("zero", "zero", (1.0, 0.0))]
    group = dataclasses.replace(group, rows=rows)
    wide = math.exp(math.sqrt(2) * math.log(2))
    assert ratio(group, "x", "r1") == pytest.approx((4.0, 4 / wide, 4 * wide))
    assert ratio(group, "zero", "r1") is None
    assert ratio(group, "no_such", "r1") is None


def test_a_forest_is_of_the_measure_that_it_names(written):
    groups = _three(written)
    figure = _figure(picture="forest", forest="vendi_gaussian", measures=(), ratios=("vendi_gaussian",))
    text = paper.note(figure, groups, [], "x.png")
    found = [ratio(group, "vendi_gaussian", "r1").value for group in groups]
    assert "of 3 ratios (Vendi score, Gaussian) is" in text
    assert f"is {math.exp(sum(map(math.log, found)) / 3):.4g}" in text
    assert paper.picture(figure, groups).width > 300


def test_what_is_written_for_markdown_reads_plainly_on_a_terminal():
    text = "conv5_2 [30, 40] a|b *x* <y> $z$ & \\ ~"
    assert as_read(in_markdown(text)) == text
