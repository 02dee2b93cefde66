"""`invset reproduce`: the paper's figures from their recipes, and what was measured beside what it claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from invset import __version__
from invset.cli import app, sample
from invset.cli.compose import compose, parse
from invset.cli.figures.figure import PICTURE, write_figure, write_index
from invset.cli.figures.plan import NOT_HERE, Planned, plan_runs
from invset.cli.figures.recipe import ALL, MORE, Recipe, load_recipe
from invset.cli.overrides import key_of, quote
from invset.cli.sampling import resume_run
from invset.cli.signals import Interrupted
from invset.cli.sweep.resume_sweep import complete_arguments
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, InvsetError
from invset.run.json_files import read_json
from invset.run.layout import Layout
from invset.settings import ReproduceSettings, names


class Asked(NamedTuple):
    """What the command line asked for: figures by name or file, the network, where to, and settings of every run."""

    figures: tuple[str, ...]
    model: str
    out: Path
    extra: tuple[str, ...]


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code, the worst of the figures'."""
    console = console or Console()
    asked = parse_arguments(arguments)
    recipes = {name: load_recipe(name) for name in asked.figures}
    plans = {name: plan_runs(recipe, asked.model, name, asked.extra) for name, recipe in recipes.items()}
    codes = {}
    try:
        for name, recipe in recipes.items():
            codes[Path(name).stem] = _make_figure(Path(name).stem, recipe, plans[name], asked, console)
    except Interrupted:
        say(console, "to go on, give the same command again: runs that are there are kept.")
        raise
    if len(recipes) > 1:
        failed = [name for name, code in codes.items() if code]
        say(console, f"{shorten(write_index(asked.out, asked.model, failed))}")
    return max(codes.values())


def parse_arguments(arguments: Sequence[str]) -> Asked:
    """Figures and settings."""
    own = names(ReproduceSettings)
    extra = [argument for argument in arguments if "=" in argument and key_of(argument) not in own]
    settings = parse("reproduce", [argument for argument in arguments if argument not in extra], "figures")
    for argument in extra:
        if key_of(argument).split(".")[0] in NOT_HERE:
            raise ConfigError(f"{argument}: cannot be set: out=DIR chooses the folder, and existing runs are resumed.")
    figures = tuple(dict.fromkeys(name for word in settings.figures for name in (ALL if word == "all" else (word,))))
    if not figures:
        raise ConfigError(f"reproduce what? Give {', '.join((*ALL, *MORE))} or all.")
    stems = [Path(name).stem for name in figures]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise ConfigError(f"two figures are called {min(twice)}, and would be written over each other: rename one.")
    out = Path(settings.out) if settings.out else Path("outputs/reproduced") / settings.model
    return Asked(figures, settings.model, out, tuple(extra))


def _make_figure(name: str, recipe: Recipe, plan: Sequence[Planned], asked: Asked, console: Console) -> int:
    """Make what is missing of a figure's runs, then the figure; returns an exit code."""
    folders = [asked.out / "runs" / one.folder_name for one in plan]
    for number, (one, folder) in enumerate(zip(plan, folders, strict=True), 1):
        console.rule(style="dim")
        say(console, f"{name} {number}/{len(plan)}: {' '.join(filter(None, (one.group, one.title)))}")
        if code := _make_run(folder, one.overrides, console):
            say(console, f"{name}: not made: a run failed.")
            return code
    try:
        findings = write_figure(asked.out / name, recipe, asked.model, plan, folders, asked.extra)
    except InvsetError as error:
        return app.complain(error)
    for line in (*findings, f"{shorten(asked.out / name / PICTURE)}"):
        say(console, line)
    return 0


def _make_run(folder: Path, overrides: Sequence[str], console: Console) -> int:
    """See to it that a run is there: 0 if it came to its end, whatever its result; else the code of its failure."""
    words = [*overrides, f"hydra.run.dir={quote(str(folder))}"]
    try:
        if Layout(folder).config.is_file():
            made_by = read_json(Layout(folder).manifest).get("invset")
            if made_by != __version__:
                raise ConfigError(
                    f"{folder}: made by invset {made_by}, this is {__version__}: remove it, or choose another out=."
                )
            settings = resume_run.merge(folder, compose("sample", overrides))
            if (status := resume_run.finished_status(folder, settings)) is not None:
                say(console, f"{status} already: {shorten(folder)}")
                return 0
            words = complete_arguments([*overrides, f"resume={folder}"])
    except InvsetError as error:
        return app.complain(error)
    code = app.launch("sample", sample.task, words)
    return 0 if code == app.NOT_REACHED else code
