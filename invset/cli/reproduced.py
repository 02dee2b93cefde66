"""Finished runs of a figure to its picture, its numbers and its note."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from invset import __version__
from invset.cli import app, resume
from invset.cli.finished import read_config
from invset.cli.plans import Planned
from invset.cli.recipes import ALL, GroupRecipe, Recipe
from invset.cli.sweep import NO_SETTINGS, settings
from invset.errors import ConfigError, RunFolderError, WeightsError
from invset.run.layout import Layout

if TYPE_CHECKING:
    from invset.cli.encoder import Networks
    from invset.report.measurement import Measurement

READABLE = 60  # characters of a folder's name before its digest
PICTURE, NUMBERS, NOTE, INDEX = "figure.png", "numbers.csv", "note.md", "PAPER.md"


def folder_name(overrides: Sequence[str]) -> str:
    """What to call the run of some settings: their values, and a digest of all of them, in whatever order.

    Where it is computed, as on which device, is no part of it.
    """
    all_of_them = [setting for key, setting in settings(overrides).items() if key not in NO_SETTINGS]
    values = "_".join(setting.partition("=")[2] for setting in all_of_them)
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", values).strip("-.")[:READABLE]
    digest = hashlib.sha256("\n".join(sorted(all_of_them)).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{readable}_{digest}"


def require_same(folder: Path, overrides: Sequence[str]) -> None:
    """Refuse the run in a folder if its settings, whatever brought them about, are not what they would be now.

    Raises:
        ConfigError: another version of this program made it, or a config was changed since.
        RunFolderError: a file of it cannot be read.
    """
    from invset.run.files import read_json

    made_by = read_json(Layout(folder).manifest).get("invset")
    if made_by != __version__:
        raise ConfigError(
            f"{folder}: made by invset {made_by}, this is {__version__}: remove it, or choose another out=."
        )
    saved, now = read_config(folder), app.composed("sample", overrides)
    changed = resume.differences(saved, replace(now, encoder=saved.encoder, starts=saved.starts))
    if changed:
        raise ConfigError(
            f"{folder}: made with other settings ('-' the run's, '+' now): {'; '.join(changed)}. Remove it, or choose "
            "another out=."
        )


def write_figure(
    folder: Path,
    recipe: Recipe,
    model: str,
    plan: Sequence[Planned],
    runs: Sequence[Path],
    extra: Sequence[str] = (),
) -> tuple[Path, list[str]]:
    """Write figure.png, numbers.csv and note.md of finished runs; `extra` settings are the user's, for every run.

    Returns:
        The picture's path, and a line for each claim: what the paper says, and what was measured.

    Raises:
        ConfigError: runs cannot be measured together, or there is no such independent network.
        RunFolderError: a run is damaged, or a file cannot be written.
        WeightsError: weights of an encoder cannot be used.
    """
    from invset.report.figure_page import claim_lines, draw_figure, figure_note, figure_numbers
    from invset.run.files import write_atomically
    from invset.run.sheet import save_picture

    groups, remarks = _measured(recipe, model, plan, runs, extra)
    if extra:
        remarks.append(f"Not as the recipe has it: {', '.join(extra)} for every run.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be made a folder ({error.strerror}). Choose another out=.") from error
    save_picture(folder / PICTURE, draw_figure(recipe, groups))
    write_atomically(folder / NUMBERS, figure_numbers(groups).encode("utf-8", "replace"))
    note = recipe.models[model].note
    text = figure_note(recipe, groups, [*([note] if note else []), *remarks], PICTURE)
    write_atomically(folder / NOTE, text.encode("utf-8", "replace"))
    lines = [line for ours in (False, True) for line in claim_lines(recipe, groups, ours)]
    return folder / PICTURE, [
        f"{says}: {holds} ({measure}: {here} {wanted})" for says, measure, here, wanted, holds in lines
    ]


def write_index(out: Path, model: str, failed: Sequence[str]) -> Path:
    """Write PAPER.md: the notes of all figures that are there, one after the other, the paper's in its order.

    Raises:
        RunFolderError: a note cannot be read, or the page cannot be written.
    """
    from invset.run.files import write_atomically

    heading = f"# The paper's figures with model={model}, by invset {__version__}\n"
    notes = [f"## {name}\n\nNot made: a run failed.\n" for name in failed]
    there = {path.parent.name for path in out.glob(f"*/{NOTE}")} - set(failed)
    for name in sorted(there, key=lambda name: (ALL.index(name) if name in ALL else len(ALL), name)):
        path = out / name / NOTE
        try:
            notes.append(path.read_text("utf-8").replace(f"]({PICTURE})", f"]({name}/{PICTURE})"))
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{path}: cannot be read ({error}). Make the figure again.") from error
    if there & set(ALL):
        notes.insert(0, "The paper's figures are of `method=paper`, where they do not say otherwise.\n")
    write_atomically(out / INDEX, "\n".join([heading, *notes]).encode("utf-8", "replace"))
    return out / INDEX


def _measured(
    recipe: Recipe, model: str, plan: Sequence[Planned], runs: Sequence[Path], extra: Sequence[str]
) -> tuple[list[Measurement], list[str]]:
    """The runs group by group, and what could not be measured."""
    from invset.cli.device import prepare_torch
    from invset.cli.finished import networks_for
    from invset.cli.together import together
    from invset.report.measurement import Measurement

    chosen = dict(setting.lstrip("+").partition("=")[::2] for setting in extra)
    factory = next((value for key, value in chosen.items() if key.endswith(".factory")), None)
    device = chosen.get("device", "auto")
    networks = networks_for(read_config(runs[0]), prepare_torch(device, None))
    features, remarks = _features(recipe.models[model].features, networks)
    measurements = []
    for key, members in groupby(zip(plan, runs, strict=True), key=lambda member: member[0].group):
        rows, folders = zip(*members, strict=True)
        names = tuple(row.row for row in rows)
        found = together(
            folders, names, features=features, factory=factory, least=recipe.least, most=recipe.compare,
            networks=networks, device=device,
        )  # fmt: skip
        group = recipe.models[model].groups.get(key, GroupRecipe())
        measurements.append(
            Measurement(
                title=group.title or key,
                names=names,
                titles=tuple(row.title for row in rows),
                samples=found.samples,
                rows=found.rows,
                where=found.where,
                paper=group.paper,
            )
        )
    return measurements, remarks


def _features(features: str | None, networks: Networks) -> tuple[str | None, list[str]]:
    """The independent network, if it is here: figures are made without it too, and say so."""
    from invset.cli.finished import observer_of

    try:
        observer_of(features, networks)
    except (ConfigError, WeightsError) as error:
        return None, [f"What an independent network sees was not measured: {error}"]
    return features, []
