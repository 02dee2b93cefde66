"""`invset facets`: the kinds of thing among a finished run's samples, as a picture and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from invset.cli.compose import parse
from invset.cli.finished import folder_by_time, measure_runs, one_run, write_files
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, RunFolderError
from invset.settings import check

if TYPE_CHECKING:
    from torch import Tensor

    from invset.metrics.clusters import Clusters


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, no such run, or more groups than there can be.
        RunFolderError: the run is not finished, has too few samples or is damaged; or `out` cannot be written.
        WeightsError: the weights of the run's encoder, or of the independent network, cannot be used.
    """
    console = console or Console()
    settings = parse("facets", arguments, "runs")
    check(settings)
    folder, features = one_run("facets", settings.runs), settings.features

    import torch

    from invset.assemble.methods import method_class
    from invset.report.facets_page import draw_facets, facets_notes, group_lines, groups_of, samples_csv
    from invset.report.readings import chosen
    from invset.report.tables import csv_text

    found = measure_runs([folder], [folder.name], settings.n, features, settings.seed, settings.factory)
    (samples,), n, where, observer = found
    finished = samples.run
    if n == 0:
        raise RunFolderError(f"{folder}: {finished.count} samples, and nothing to group: give a run of more.")
    rows = chosen(finished.count, n, settings.seed)  # as they were measured
    chains, numbers = finished.chains[rows], torch.tensor(rows) + 1
    own_starts = method_class(finished.settings.method.name).own_starts
    clusters = _cluster(samples.encodings, numbers if own_starts else chains, settings.groups, settings.seed)
    groups = groups_of(clusters, samples, chains, observer.describe if observer else None)
    heading = f"{finished.target}: {n} samples, {clusters.count} group{'s' * (clusters.count > 1)} {where}"
    notes = facets_notes(clusters, groups, settings.groups, own_starts)
    picture = draw_facets(samples, rows, groups, f"{heading}\n{notes[0]}")
    if n < finished.count:
        notes.append(f"A random subset of the run's samples (seed={settings.seed}).")
    if features is not None:
        if samples.logits is None:
            notes.append(f"features={features} has no names of classes, so what it sees has none.")
        else:
            notes.append(f"Seen: what {features} ranks first, and in which share of a group.")
        if features == finished.settings.network.kind:
            notes.append(f"features={features} is the run's own network, and no independent one.")
    lines = group_lines(groups, numbers)
    say(console, heading)
    console.print(_table(lines))
    for note in [*(f"group {line['group']}: {line['seen']}" for line in lines if line["seen"]), *notes]:
        say(console, note)
    out = Path(settings.out) if settings.out else folder_by_time("facets")
    texts = {"groups.csv": csv_text(lines), "facets.csv": samples_csv(clusters, numbers, chains)}
    write_files(out, texts, {"facets.png": picture})
    say(console, f"{shorten(out / 'facets.png')}")
    return 0


def _cluster(encodings: Tensor, chains: Tensor, groups: int | None, seed: int) -> Clusters:
    from invset.metrics.clusters import cluster

    try:
        return cluster(encodings, chains, groups, seed)
    except ValueError as error:
        if groups is None:
            raise
        raise ConfigError(f"groups={groups}: {error}") from error


def _table(lines: Sequence[Mapping[str, str | float]]) -> Table:
    """The groups, but for what is seen in them; of one unit without its name."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in lines[0] if name != "seen"]
    for name in names:
        table.add_column(Text(name.split(" ")[-1] if len(names) == 9 else name), justify="right")
    for line in lines:
        cells = [line[name] for name in names]
        table.add_row(*(Text(cell if isinstance(cell, str) else f"{cell:.4g}") for cell in cells))
    return table
