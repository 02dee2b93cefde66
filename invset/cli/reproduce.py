"""`invset reproduce`: the paper's figures from their recipes, and what was measured beside what it claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from invset.cli import app, plans, recipes, reproduced, sample
from invset.cli import resume as resuming
from invset.cli.help import HELP
from invset.cli.plans import NOT_HERE, Planned
from invset.cli.recipes import Recipe
from invset.cli.report import shown
from invset.cli.signals import Interrupted
from invset.cli.sweep import ended
from invset.errors import ConfigError, InvsetError
from invset.run.layout import Layout

OWN = ("model", "out")


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
        _say(console, HELP["reproduce"].rstrip())
        return 0
    settings = parse(arguments)
    found = {name: recipes.load(name) for name in settings.figures}
    planned = {name: plans.planned(recipe, settings.model, name, settings.extra) for name, recipe in found.items()}
    worst, failed = 0, []
    try:
        for name, recipe in found.items():
            code = _figure(Path(name).stem, recipe, planned[name], settings, console)
            worst = max(worst, code)
            failed += [Path(name).stem] if code else []
    except Interrupted:
        _say(console, "to go on, give the same command again: runs that are there are kept.")
        raise
    if len(found) > 1:
        _say(console, f"{shown(reproduced.write_index(settings.out, settings.model, failed))}")
    return worst


def parse(arguments: Sequence[str]) -> Settings:
    """Figures and settings.

    Raises:
        ConfigError: no figure is named, two have one name, or a setting cannot be given here.
    """
    figures: dict[str, None] = {}
    own: dict[str, str] = {}
    extra = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            raise ConfigError(f"there is no flag {argument}: give figures, and settings as key=value.")
        if not equals or recipes.is_file_name(argument):
            figures.update(dict.fromkeys(recipes.ALL if argument == "all" else (argument,)))
        elif name in OWN:
            own[name] = value
        elif resuming.key(argument).split(".")[0] in NOT_HERE:
            raise ConfigError(f"{argument}: not here: out=DIR says where to, and what is there is gone on with.")
        else:
            extra.append(argument)
    if not figures:
        raise ConfigError(f"reproduce what? Give {', '.join((*recipes.ALL, *recipes.MORE))} or all.")
    stems = [Path(name).stem for name in figures]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        raise ConfigError(f"two figures are called {min(twice)}, and would be written over each other: rename one.")
    model = own.get("model") or "mini"
    out = Path(own["out"]) if own.get("out") else Path("reproduced") / model
    return Settings(tuple(figures), model, out, tuple(extra))


def _figure(name: str, recipe: Recipe, plan: Sequence[Planned], settings: Settings, console: Console) -> int:
    """Make what is missing of a figure's runs, then the figure; returns an exit code."""
    folders = []
    for number, one in enumerate(plan, 1):
        folders.append(settings.out / "runs" / reproduced.folder_name(one.overrides))
        console.rule(style="dim")
        _say(console, f"{name} {number}/{len(plan)}: {' '.join(filter(None, (one.group, one.title)))}")
        if code := _made(folders[-1], one.overrides, console):
            _say(console, f"{name}: not made, for a run failed.")
            return code
    try:
        path, findings = reproduced.write_figure(
            settings.out / name, recipe, settings.model, plan, folders, settings.extra
        )
    except InvsetError as error:
        return app.complain(error)
    for line in (*findings, f"{shown(path)}"):
        _say(console, line)
    return 0


def _made(folder: Path, overrides: Sequence[str], console: Console) -> int:
    """See to it that a run is there: 0 if it came to its end, whatever its result; else the code of its failure."""
    try:
        if Layout(folder).config.is_file():
            reproduced.require_same(folder, overrides)
            status = ended(folder, overrides)
            if status is not None:
                _say(console, f"{status} already: {shown(folder)}")
                return 0
            words = resuming.arguments([*overrides, f"resume={folder}"])
        else:
            words = [*overrides, f"hydra.run.dir={resuming.quoted(str(folder))}"]
    except InvsetError as error:
        return app.complain(error)
    except OSError as error:
        return app.complain(ConfigError(f"out={folder.parent.parent}: cannot be used ({error.strerror})."))
    code = app.launch("sample", sample.task, words)
    return 0 if code == sample.NOT_REACHED else code


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
