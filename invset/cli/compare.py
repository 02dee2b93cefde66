"""`invset compare`: finished runs side by side, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from invset.cli.compose import parse
from invset.cli.finished import choose_folder, is_own_network, measure_runs, run_folders, write_files
from invset.cli.terminal import cell, say, shorten
from invset.errors import ConfigError
from invset.report.comparison import compare
from invset.report.comparison_page import comparison_histograms, comparison_notes, comparison_rows
from invset.report.tables import Row, csv_line, csv_text, format_value, markdown_table
from invset.run.summary import NEAR

TITLES = 26  # characters that titles of rows should have at least
NARROW, WIDE = 15, 24  # characters of a run's column, with an interval on a line of its own, and beside its number


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    console = console or Console()
    settings = parse("compare", arguments, "runs")
    folders = run_folders(settings.runs)
    if not folders:
        raise ConfigError("compare what? Give the folders of finished runs, as invset compare RUN RUN.")
    names = run_names(folders)
    found = measure_runs(folders, names, settings.n, settings.features, settings.seed, settings.factory)
    first = found.samples[0].run
    rows = compare(found.samples, first.number("unrelated_distance"), NEAR, settings.seed)
    notes = comparison_notes(found.samples, found.n, found.where, settings.seed)
    own = [one.name for one in found.samples if is_own_network(settings.features, one.run.settings)]
    if own:
        notes.append(f"features={settings.features} is the network of {', '.join(own)}, and no independent one.")
    for table in _tables(console.width, names, rows):
        console.print(table)
    for note in notes:
        say(console, note)

    lines = [[row.title, *map(format_value, row.cells)] for row in rows]
    texts = {
        "compare.csv": csv_text([{"run": name, **csv_line(rows, index)} for index, name in enumerate(names)]),
        "compare.md": "\n".join([markdown_table(["", *names], lines), "", *(f"- {note}" for note in notes), ""]),
    }
    pictures = {"rows.png": comparison_rows(found.samples), "histograms.png": comparison_histograms(found.samples)}
    out = choose_folder("compare", settings.out)
    write_files(out, texts, pictures)
    say(console, f"{shorten(out)}")
    return 0


def run_names(folders: Sequence[Path]) -> list[str]:
    """What to call runs: the fewest last parts of their paths that tell them apart."""
    parts = [folder.resolve().parts for folder in folders]
    counts = range(1, max(map(len, parts)) + 1)
    several = (["/".join(own[-count:]) for own in parts] for count in counts)
    return next(names for names in several if len(set(names)) == len(names))


def _tables(width: int, names: Sequence[str], rows: Sequence[Row]) -> Iterator[Table]:
    """One table, or where runs are too many for the width several, of as many runs each as it has room for."""
    wide = TITLES + len(names) * (WIDE + 2) <= width
    most = len(names) if wide else max(1, (width - TITLES) // (NARROW + 2))
    for start in range(0, len(names), most):
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for name in names[start : start + most]:
            table.add_column(cell(name), justify="right", overflow="fold", max_width=WIDE if wide else NARROW)
        for row in rows:
            texts = [format_value(value) for value in row.cells[start : start + most]]
            table.add_row(cell(row.title), *(cell(text if wide else text.replace(" [", "\n[")) for text in texts))
        table.add_row()
        yield table
