"""`invset facets`: the kinds of thing among a finished run's samples, as a picture and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from invset.cli.facets_settings import Settings, parse
from invset.cli.finished import (
    encoder_of,
    networks_for,
    observer_of,
    read_config,
    require_known_functions,
    targets_of,
)  # fmt: skip
from invset.cli.help import HELP
from invset.cli.report import shown
from invset.errors import ConfigError, RunFolderError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from invset.metrics.clusters import Clusters
    from invset.report.runs import FinishedRun


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, no such run, or more groups than there can be.
        RunFolderError: the run is not finished, has too few samples or is damaged; or `out` cannot be written.
        WeightsError: the weights of the run's encoder, or of the independent network, cannot be used.
    """
    console = console if console is not None else Console()
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        console.print(HELP["facets"].rstrip(), highlight=False, markup=False, soft_wrap=True)
        return 0
    settings = parse(arguments)
    config = read_config(settings.folder)
    targets = targets_of(settings.folder, config)

    import torch

    from invset.cli.device import prepare_torch
    from invset.report.facets_page import draw_facets, facets_notes, group_lines, groups_of, samples_csv
    from invset.report.readings import chosen, measure_run
    from invset.report.runs import read_run
    from invset.report.tables import csv_text

    finished = read_run(settings.folder, config.method.name, targets.ranges)
    n = _count(finished, settings)
    require_known_functions(config, settings.folder, settings.factory)
    device = prepare_torch("auto", None)
    networks = networks_for(config, device)
    encode, where = encoder_of(config, networks)
    observer = observer_of(settings.features, networks)
    samples = measure_run(finished, settings.folder.name, n, settings.seed, encode, observer, device)
    rows = chosen(finished.count, n, settings.seed)  # as `measure_run` chose them
    chains, numbers = finished.chains[rows], torch.tensor(rows) + 1
    own_starts = finished.method == "multistart"
    found = _grouped(samples.encodings, numbers if own_starts else chains, settings)
    groups = groups_of(found, samples, chains, observer.describe if observer else None)
    heading = f"{finished.target}: {n} samples, {found.count} group{'s' * (found.count > 1)} {where}"
    words = facets_notes(found, groups, settings.groups, own_starts)
    picture = draw_facets(samples, rows, groups, f"{heading}\n{words[0]}")
    notes = [*words, *_notes(settings, n < finished.count, samples.logits is not None, config.network.kind)]
    lines = group_lines(groups, numbers)
    _print(console, heading, lines, notes)
    texts = {"groups.csv": csv_text(lines), "facets.csv": samples_csv(found, numbers, chains)}
    _write(settings.out, texts, picture)
    console.print(f"{shown(settings.out / 'facets.png')}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _count(finished: FinishedRun, settings: Settings) -> int:
    if finished.count < 2:
        raise RunFolderError(
            f"{finished.root}: {finished.count} sample{'s' * (finished.count == 0)}, and nothing to group: run it with "
            "a larger n, or another range."
        )
    n = finished.count if settings.n is None else settings.n
    if n > finished.count:
        raise ConfigError(f"n={n}: the run has {finished.count} samples; give {finished.count} or fewer.")
    if settings.groups is not None and settings.groups > n:
        raise ConfigError(f"groups={settings.groups}: there are {n} samples to group; give {n} or fewer.")
    return n


def _grouped(encodings: Tensor, chains: Tensor, settings: Settings) -> Clusters:
    from invset.metrics.clusters import cluster

    try:
        return cluster(encodings, chains, settings.groups, settings.seed)
    except ValueError as error:
        if settings.groups is None:
            raise
        raise ConfigError(f"groups={settings.groups}: {error}") from error


def _notes(settings: Settings, subset: bool, named: bool, network: str) -> list[str]:
    notes = []
    if subset:
        notes.append(f"A random subset of the run's samples (seed={settings.seed}).")
    if settings.features is not None and not named:
        notes.append(
            f"features={settings.features} has no names of classes, so there is nothing to say of what it sees."
        )
    elif settings.features is not None:
        notes.append(f"Seen: what {settings.features} ranks first, and in which share of a group.")
    if settings.features == network:
        notes.append(f"features={settings.features} is the run's own network, and no independent one.")
    return notes


def _print(console: Console, heading: str, lines: Sequence[Mapping[str, str | float]], notes: Sequence[str]) -> None:
    """The groups as a table, what is seen in each below it."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in lines[0] if name != "seen"]
    for name in names:
        table.add_column(Text(name.split(" ")[-1] if len(names) == 9 else name), justify="right")
    for line in lines:
        table.add_row(*(Text(line[name] if isinstance(line[name], str) else f"{line[name]:.4g}") for name in names))
    seen = [f"group {line['group']}: {line['seen']}" for line in lines if line["seen"]]
    for part in (heading, table, *seen, *notes):
        console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))


def _write(out: Path, texts: dict[str, str], picture: Image) -> None:
    from invset.run.files import write_atomically
    from invset.run.sheet import save_picture

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be made a folder ({error.strerror}). Choose another with out=.") from error
    for name, text in texts.items():
        write_atomically(out / name, text.encode("utf-8", "replace"))
    save_picture(out / "facets.png", picture)
