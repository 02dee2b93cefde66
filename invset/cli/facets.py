"""`invset facets`: the kinds of thing among a finished run's samples, as a picture and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from rich.console import Console
from rich.table import Table

from invset.assemble.methods import method_class
from invset.cli.compose import parse
from invset.cli.finished import choose_folder, is_own_network, measure_runs, one_run, write_files
from invset.cli.terminal import cell, say, shorten
from invset.errors import ConfigError, RunFolderError
from invset.metrics.clusters import cluster
from invset.report.facets_page import draw_facets, facets_notes, facets_verdict, group_lines, groups_of, samples_csv
from invset.report.tables import csv_text


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    console = console or Console()
    settings = parse("facets", arguments, "runs")
    folder, features = one_run("facets", settings.runs), settings.features
    found = measure_runs([folder], [folder.name], settings.n, features, settings.seed, settings.factory)
    (samples,), n, where, observer = found
    finished = samples.run
    if n == 0:
        raise RunFolderError(f"{folder}: {finished.count} samples, and nothing to group: give a run of more.")
    chains, numbers = finished.chains[samples.rows], torch.tensor(samples.rows) + 1
    own_starts = method_class(finished.settings.method.name).own_starts
    try:
        clusters = cluster(samples.encodings, numbers if own_starts else chains, settings.groups, settings.seed)
    except ValueError as error:
        raise ConfigError(f"groups={settings.groups}: {error}") from error
    groups = groups_of(clusters, samples, chains, observer.describe if observer else None)
    heading = f"{finished.target}: {n} samples, {clusters.count} group{'s' * (clusters.count > 1)} {where}"
    verdict = facets_verdict(clusters, groups, own_starts)
    notes = facets_notes(clusters, groups, settings.groups, own_starts)
    picture = draw_facets(samples, groups, f"{heading}\n{verdict}")
    if n < finished.count:
        notes.append(f"A random subset of the run's samples (seed={settings.seed}).")
    if features is not None:
        if samples.logits is None:
            notes.append(f"features={features} has no names of classes, so what it sees has none.")
        else:
            notes.append(f"Seen: what {features} ranks first, and in which share of a group.")
        if is_own_network(features, finished.settings):
            notes.append(f"features={features} is the run's own network, and no independent one.")
    lines = group_lines(groups, numbers)
    say(console, verdict)
    say(console, heading)
    console.print(_table(lines))
    for note in [*(f"group {line['group']}: {line['seen']}" for line in lines if line["seen"]), *notes]:
        say(console, note)
    out = choose_folder("facets", settings.out)
    texts = {"groups.csv": csv_text(lines), "facets.csv": samples_csv(clusters, numbers, chains)}
    write_files(out, texts, {"facets.png": picture})
    say(console, f"{shorten(out / 'facets.png')}")
    return 0


def _table(lines: Sequence[Mapping[str, str | float]]) -> Table:
    """The groups, but for what is seen in them; of one unit without its name."""
    table = Table(box=None, pad_edge=False)
    names = [name for name in lines[0] if name != "seen"]
    for name in names:
        table.add_column(cell(name.split(" ")[-1] if len(names) == 9 else name), justify="right")
    for line in lines:
        values = [line[name] for name in names]
        table.add_row(*(cell(value if isinstance(value, str) else f"{value:.4g}") for value in values))
    return table
