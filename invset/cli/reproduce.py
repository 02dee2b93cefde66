"""`invset reproduce`: the paper's figures from their recipes, and what was measured beside what it claims."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from invset.cli import app, recipes, reproduced, sample
from invset.cli import resume as resuming
from invset.cli.help import HELP
from invset.cli.recipes import Planned, Recipe
from invset.cli.report import shown
from invset.cli.signals import Interrupted
from invset.cli.sweep import ended
from invset.errors import ConfigError, InvsetError
from invset.run.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

OWN = ("model", "out")
REFUSED = ("resume", "hydra")


@dataclass(frozen=True)
class Settings:
    """What the command line asked for: figures, the network, where to, and settings of every run."""

    figures: tuple[str, ...]
    model: str
    out: Path
    extra: tuple[str, ...]


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code, the worst of the figures'.

    Raises:
        ConfigError: wrong usage, no such figure, or a recipe that cannot be used.
        Interrupted: by Ctrl-C or SIGTERM; finished runs are kept, and the one at hand can go on.
    """
    console = console if console is not None else Console()
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        console.print(HELP["reproduce"].rstrip(), highlight=False, markup=False, soft_wrap=True)
        return 0
    settings = parse(arguments)
    found = {name: recipes.load(name) for name in settings.figures}
    plans = {name: recipes.planned(recipe, settings.model, name, settings.extra) for name, recipe in found.items()}
    worst = 0
    try:
        for name, recipe in found.items():
            worst = max(worst, _figure(name, recipe, plans[name], settings, console))
    except Interrupted:
        console.print("to go on, give the same command again: runs that are there are kept.", highlight=False)
        raise
    if len(found) > 1:
        path = reproduced.write_index(settings.out, settings.model, [Path(name).stem for name in found])
        console.print(f"{shown(path)}", highlight=False, markup=False, soft_wrap=True)
    return worst


def parse(arguments: Sequence[str]) -> Settings:
    """Figures and settings.

    Raises:
        ConfigError: no figure is named, or a setting cannot be given here.
    """
    figures: dict[str, None] = {}
    own: dict[str, str] = {}
    extra = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise ConfigError(f"there is no flag {argument}: give figures, and settings as key=value.")
        if not equals:
            figures.update(dict.fromkeys(recipes.ALL if argument == "all" else (argument,)))
        elif key in OWN:
            own[key] = value
        elif key.lstrip("+~").split(".")[0] in REFUSED:
            raise ConfigError(f"{argument}: not here: out=DIR says where to, and what is there is gone on with.")
        else:
            extra.append(argument)
    if not figures:
        raise ConfigError(f"reproduce what? Give {', '.join(recipes.ALL)} or all.")
    model = own.get("model") or "mini"
    out = Path(own["out"]) if own.get("out") else Path("reproduced") / model
    return Settings(tuple(figures), model, out, tuple(extra))


def _figure(name: str, recipe: Recipe, plan: Sequence[Planned], settings: Settings, console: Console) -> int:
    """Make what is missing of a figure's runs, then the figure; returns an exit code."""
    folders, worst = [], 0
    for number, one in enumerate(plan, 1):
        folder = settings.out / "runs" / reproduced.folder_name(one.overrides)
        folders.append(folder)
        heading = f"{Path(name).stem} {number}/{len(plan)}: {' '.join(filter(None, (one.group, one.title)))}"
        console.print(heading, style="bold", highlight=False, markup=False)
        worst = max(worst, _made(folder, one.overrides, console))
    if worst:
        console.print(f"{Path(name).stem}: not made, for a run failed.", highlight=False, markup=False)
        return worst
    try:
        path, findings = reproduced.write_figure(settings.out / Path(name).stem, recipe, settings.model, plan, folders)
    except InvsetError as error:
        return app.complain(error)
    for finding in findings:
        console.print(finding, highlight=False, markup=False, soft_wrap=True)
    console.print(f"{shown(path)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _made(folder: Path, overrides: Sequence[str], console: Console) -> int:
    """See to it that a run is there: 0 if it came to its end, whatever its result; else the code of its failure."""
    try:
        status = ended(folder, overrides)
        if status is not None:
            console.print(f"{status} already: {shown(folder)}", highlight=False, markup=False, soft_wrap=True)
            return 0
        if Layout(folder).config.is_file():
            words = resuming.arguments([*overrides, f"resume={folder}"])
        else:
            words = [*overrides, f"hydra.run.dir={resuming.quoted(str(folder))}"]
    except InvsetError as error:
        return app.complain(error)
    code = app.launch("sample", sample.task, words)
    return 0 if code == sample.NOT_REACHED else code
