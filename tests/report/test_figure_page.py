"""A figure's note, numbers and picture, from runs written by hand."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math

import pytest
import torch

from invset.metrics.estimate import Estimate
from invset.report.claims import Claim
from invset.report.comparison import compare
from invset.report.figure_page import (
    Figure,
    claim_lines,
    draw_figure,
    figure_note,
    figure_numbers,
    shown_rows,
    unrecognised,
)  # fmt: skip
from invset.report.measurement import Measurement, difference_text, ratio_text
from invset.report.readings import Measured
from invset.report.runs import read_run
from invset.report.tables import Row


def _measurement(written, title: str = "g", counts: tuple[int, ...] = (5, 5), scale: float = 1.0, **more):
    samples = []
    for index, count in enumerate(counts):
        run = read_run(written(f"{title}{index}", n=count, status="complete", wanted=5))
        generator = torch.Generator().manual_seed(index)
        encodings = torch.randn(count if count >= 2 else 0, 4, generator=generator) * (scale if index else 1)
        samples.append(Measured(f"r{index}", run, range(len(encodings)), encodings, run.activations[: len(encodings)]))
    names = tuple(f"r{index}" for index in range(len(counts)))
    titles = tuple(f"row {index}" for index in range(len(counts)))
    return Measurement(title, names, titles, samples, compare(samples, 10.0, 0.1), "in fc6 of mini", **more)


def _figure(**more) -> Figure:
    measures = ["delivered", "mean_pairwise_distance", "no_such_measure"]
    return Figure(**({"title": "A figure", "shows": "Two rows.", "images": 3, "measures": measures} | more))


def _table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table whose header has that in it."""
    lines = text.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("|") and heading in line)
    last = next(index for index in range(first, len(lines)) if not lines[index].startswith("|"))
    whole = [[cell.strip().replace("\\", "") for cell in line.strip("|").split(" | ")] for line in lines[first:last]]
    return [whole[0], *whole[2:]]


def test_numbers_are_the_cells_of_the_comparison(written):
    one, two = _measurement(written, "a"), _measurement(written, "b", scale=3.0)
    lines = list(csv.DictReader(io.StringIO(figure_numbers([one, two]))))
    assert [(line["group"], line["run"]) for line in lines] == [("a", "r0"), ("a", "r1"), ("b", "r0"), ("b", "r1")]
    for line, (group, name) in zip(lines, [(one, "r0"), (one, "r1"), (two, "r0"), (two, "r1")], strict=True):
        estimate = group.cell(name, "mean_pairwise_distance")
        assert (float(line["mean_pairwise_distance"]), float(line["mean_pairwise_distance_low"])) == estimate[:2]
    assert lines[0]["distance_ratio"] == ""
    assert float(lines[3]["distance_ratio"]) == two.cell("r1", "distance_ratio").value


def test_a_note_holds_the_claims_and_the_numbers(written):
    claims = [
        Claim("row 1 is the more varied", "distance_ratio", "r1", "below", value=1, paper="2 to 1"),
        Claim("A?", "samples", "r0", "above", value=1, ours=True),
    ]
    group, figure = _measurement(written, "", scale=30.0), _figure(claims=claims)
    text = figure_note(figure, [group], ["A remark | with a bar."], "x.png")
    assert "![A figure](x.png)" in text
    assert "A remark \\| with a bar." in text
    (line,) = claim_lines(figure, [group], ours=False)
    assert (line[0], line[-1]) == ("row 1 is the more varied (2 to 1)", "yes")
    assert _table(text, "the paper says")[1] == line
    assert _table(text, "asked beyond the paper")[1][0] == "A?"
    header, first, second = _table(text, "share of the wanted samples")
    assert header == ["", "share of the wanted samples", "mean pairwise distance", "no_such_measure"]
    assert (first[0], first[1], first[3], second[0]) == ("row 0", "1", "-", "row 1")
    assert "5 samples of each run are compared" in text
    assert "Distances are in fc6 of mini." in text


def _judged(group: Measurement, *shares: int) -> Measurement:
    """With an independent network of 20 classes, which has the class first in so many of a run's five samples."""
    samples = []
    for one, seen in zip(group.samples, shares, strict=True):
        logits = torch.zeros(5, 20)
        logits[:, 3] = torch.where(torch.arange(5) < seen, 1.0, -1.0)
        samples.append(dataclasses.replace(one, logits=logits, classes=(3,)))
    return dataclasses.replace(group, samples=samples)


def test_classes_that_nobody_can_recognise_are_named(written):
    """By an independent network, if any; else as the run itself found."""
    groups = [_measurement(written, "a"), _measurement(written, "b")]
    assert unrecognised(groups) == []
    (line,) = unrecognised([_judged(group, 0, 0) for group in groups])
    assert line.startswith("Nobody can recognise fc8:2 goldfish here: ")
    assert line in figure_note(_figure(), [_judged(groups[0], 0, 0)], [], "x.png")
    assert unrecognised([_judged(groups[0], 0, 0), _judged(groups[1], 0, 1)]) == [], "one of them can be"

    said = "fc8:2 goldfish is hardly known here: …"
    for one in groups[0].samples:
        manifest = {"units": ["fc8:2 goldfish"], "hardly_known": [said]}
        (one.run.root / "manifest.json").write_text(json.dumps(manifest))
    told = [dataclasses.replace(one, run=read_run(one.run.root)) for one in groups[0].samples]
    group = dataclasses.replace(groups[0], samples=told)
    assert unrecognised([group]) == [f"{said}."]
    assert unrecognised([_judged(group, 0, 1)]) == [], "the network says more"


def test_which_samples_are_shown(written):
    folder = written("chains", n=9, status="complete")
    path = folder / "activations.csv"
    lines = path.read_text().splitlines()
    order = [3, 1, 2, 2, 1, 3, 3, 2, 1]  # of chains
    pairs = zip(lines[2:], order, strict=True)
    path.write_text("\n".join([*lines[:2], *(line.replace(",1,", f",{chain},", 1) for line, chain in pairs)]))
    run = read_run(folder)
    assert shown_rows(run, _figure(pick="chains")) == [4, 3, 5]  # the middle ones of chains 1, 2 and 3
    assert shown_rows(run, _figure(pick="chains", images=2)) == [4, 3]
    assert shown_rows(run, _figure(pick="activation")) == [0, 4, 8]  # activations rise
    assert shown_rows(run, _figure(pick="chains", images=9)) == list(range(9))


def test_many_groups_are_summed_up_by_row(written):
    groups = [_measurement(written, f"g{index}", counts=(5, 5, 0), scale=index + 1) for index in range(4)]
    figure = _figure(measures=["samples", "mean_pairwise_distance", "vendi_gaussian"])
    header, first, second, third = _table(figure_note(figure, groups, [], "x.png"), "samples in the folder")
    titles = ["samples in the folder", "mean pairwise distance", "Vendi score, Gaussian"]  # of several widths
    assert header == ["median of 4 (lowest to highest)", *titles]
    assert first[:2] == ["row 0", "5"]
    assert third == ["row 2", "0", "-", "-"]
    values = sorted(group.cell("r1", "mean_pairwise_distance").value for group in groups)
    assert second[2] == f"{(values[1] + values[2]) / 2:.4g} ({values[0]:.4g} to {values[3]:.4g})"


def test_a_line_a_group_where_measures_name_their_row(written):
    groups = [_measurement(written, "a", paper=1.5), _measurement(written, "b")]
    figure = _figure(measures=["r0.samples", "r1.distance_ratio"])
    header, first, second = _table(figure_note(figure, groups, [], "x.png"), "row 0: samples")
    assert header[2:] == ["row 1: mean distance of row 0 over this one's", "the paper's"]
    assert first[-1] == "1.5"
    assert (second[:2], second[-1]) == (["b", "5"], "-")


def test_runs_that_came_short_are_named(written):
    text = figure_note(_figure(), [_measurement(written, "", counts=(5, 1))], [], "x.png")
    assert "row 1 has 1 samples, too few to compare." in text


@pytest.mark.parametrize("columns", [10, 20])
@pytest.mark.parametrize("picture", ["rows", "forest"])
def test_pictures(written, picture, columns):
    """Of equal samples too, whose ratio is one of two zeros."""
    groups = [_measurement(written, "a"), _measurement(written, "b", counts=(5, 0)), _measurement(written, "c")]
    rows = [Row(row.key, row.title, (None, math.nan)) if row.key == "distance_ratio" else row for row in groups[2].rows]
    groups[2] = dataclasses.replace(groups[2], rows=rows)
    assert min(draw_figure(_figure(picture=picture, columns=columns), groups).size) > 100


# The first row over the others, for all groups.


def _three(written):
    return [_measurement(written, name, (5, 5, 5), scale=scale) for name, scale in (("a", 1), ("b", 2), ("c", 4))]


def test_ratios_of_measures_against_each_other_row(written):
    """Geometric means over groups, worked out from the cells."""
    groups = _three(written)
    figure = _figure(ratios=["vendi_gaussian"], differences=["near_duplicate_share"])
    header, ratios, differences = _table(figure_note(figure, groups, [], "x.png"), "against")
    assert header == ["", "row 0 against row 1", "row 0 against row 2"]
    for column, row in ((1, "r1"), (2, "r2")):
        found = [g.cell("r0", "vendi_gaussian").value / g.cell(row, "vendi_gaussian").value for g in groups]
        above = sum(one > 1 for one in found)
        assert ratios[column].startswith(f"× {math.exp(sum(map(math.log, found)) / 3):.4g} [")
        assert ratios[column].endswith(f"{above} above, {3 - above} below")
    assert differences[1] == "+0.000 [+0.000, +0.000]; 0 more, 0 less"


def test_ratios_and_differences_of_few_groups_have_no_interval(written):
    groups = _three(written)[:2]
    assert "[" not in ratio_text(groups, "r1", "vendi_gaussian")
    assert difference_text(groups, "r1", "near_duplicate_share") == "+0.000; 0 more, 0 less"
    assert ratio_text(groups, "r1", "no_such") == difference_text(groups, "r1", "no_such") == "-"


def test_a_ratio_of_one_group_adds_up_relative_errors(written):
    """The interval of a ratio of two independent log-normal numbers."""
    group = _measurement(written, "a")
    rows = [
        Row("x", "x", (Estimate(8.0, 4.0, 16.0), Estimate(2.0, 1.0, 4.0))),
        Row("zero", "zero", (1.0, 0.0)),
    ]
    group = dataclasses.replace(group, rows=rows)
    wide = math.exp(math.sqrt(2) * math.log(2))
    assert group.ratio("r1", "x") == pytest.approx((4.0, 4 / wide, 4 * wide))
    assert group.ratio("r1", "zero") is None
    assert group.ratio("r1", "no_such") is None


def test_a_forest_is_of_the_measure_that_it_names(written):
    groups = _three(written)
    figure = _figure(picture="forest", forest="vendi_gaussian")
    found = [group.ratio("r1", "vendi_gaussian").value for group in groups]
    text = figure_note(figure, groups, [], "x.png")
    assert f"(Vendi score, Gaussian): × {math.exp(sum(map(math.log, found)) / 3):.4g} [" in text
    assert draw_figure(figure, groups).width > 300
