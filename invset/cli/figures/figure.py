"""Finished runs of a figure to its picture, its numbers and its note; and all notes to a page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from invset import __version__
from invset.assemble.device import prepare_torch
from invset.cli.figures.plan import Planned
from invset.cli.figures.recipe import ALL, GroupRecipe, Recipe
from invset.cli.finished import measure_runs, networks_of, observer_of, write_files
from invset.cli.overrides import key_of, plain_value
from invset.errors import ConfigError, RunFolderError, WeightsError
from invset.files import describing
from invset.report.comparison import compare
from invset.report.figure_page import claim_lines, draw_figure, figure_note, figure_numbers, unrecognised
from invset.report.measurement import Measurement
from invset.run.config import read_config
from invset.run.summary import NEAR

PICTURE, NUMBERS, NOTE, INDEX = "figure.png", "numbers.csv", "note.md", "PAPER.md"


def write_figure(
    folder: Path, recipe: Recipe, model: str, plan: Sequence[Planned], runs: Sequence[Path], extra: Sequence[str] = ()
) -> list[str]:
    """Write figure.png, numbers.csv and note.md of finished runs; `extra` settings are the user's, for every run.

    Returns a line for each claim, what the paper says and what was measured; and on classes that nobody can recognise.
    """
    groups, remarks = _measure(recipe, model, plan, runs, extra)
    remarks = [*filter(None, [recipe.models[model].note]), *remarks]
    if extra:
        remarks.append(f"Not as the recipe has it: {', '.join(extra)} for every run.")
    texts = {NUMBERS: figure_numbers(groups), NOTE: figure_note(recipe, groups, remarks, PICTURE)}
    write_files(folder, texts, {PICTURE: draw_figure(recipe, groups)})
    lines = [line for ours in (False, True) for line in claim_lines(recipe, groups, ours)]
    findings = [f"{says}: {holds} ({measure} {here}, wanted {wanted})" for says, measure, here, wanted, holds in lines]
    return [*findings, *unrecognised(groups)]


def write_index(out: Path, model: str, failed: Sequence[str]) -> Path:
    """Write PAPER.md: the notes of all figures that are there, one after the other, the paper's in its order."""
    there = {path.parent.name for path in out.glob(f"*/{NOTE}")} - set(failed)
    parts = [f"# The paper's figures with model={model}, by invset {__version__}\n"]
    if there & set(ALL):
        parts.append("The paper's figures are of `method=paper`, where they do not say otherwise.\n")
    parts += [f"## {name}\n\nNot made: a run failed.\n" for name in failed]
    for name in sorted(there, key=lambda name: (ALL.index(name) if name in ALL else len(ALL), name)):
        path = out / name / NOTE
        with describing(RunFolderError, path, ", or make the figure again", action="read"):
            parts.append(path.read_text("utf-8").replace(f"]({PICTURE})", f"]({name}/{PICTURE})"))
    write_files(out, {INDEX: "\n".join(parts)}, {})
    return out / INDEX


def _measure(
    recipe: Recipe, model: str, plan: Sequence[Planned], runs: Sequence[Path], extra: Sequence[str]
) -> tuple[list[Measurement], list[str]]:
    """The runs group by group, and what could not be measured."""
    given = {key_of(setting): plain_value(setting) for setting in extra}
    factory = next((value for key, value in given.items() if key.endswith(".factory")), None)
    device = prepare_torch(given.get("device", "auto"), None)
    networks, remarks, features = networks_of(read_config(runs[0]), device), [], recipe.models[model].features
    try:
        observer_of(features, networks)
    except (ConfigError, WeightsError) as error:  # figures are made without it too, and say so
        features, remarks = None, [f"What an independent network sees was not measured: {error}"]
    measurements = []
    for key, members in groupby(zip(plan, runs, strict=True), key=lambda member: member[0].group):
        rows, folders = zip(*members, strict=True)
        names = tuple(row.row for row in rows)
        found = measure_runs(
            folders, names, features=features, factory=factory, least=recipe.least, most=recipe.compare,
            device=device, networks=networks,
        )  # fmt: skip
        cells = compare(found.samples, found.samples[0].run.number("unrelated_distance"), NEAR)
        group = recipe.models[model].groups.get(key, GroupRecipe())
        titles = tuple(row.title for row in rows)
        measurements.append(
            Measurement(group.title or key, names, titles, found.samples, cells, found.where, group.paper)
        )
    return measurements, remarks
