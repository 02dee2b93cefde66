"""`invset compare`: finished runs side by side, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from invset.cli.compare_settings import parse, run_names
from invset.cli.help import HELP
from invset.cli.report import shown
from invset.errors import RunFolderError

if TYPE_CHECKING:
    from PIL.Image import Image

    from invset.report.tables import Row

TITLES = 24  # characters that titles of rows should have at least
BESIDE = 3  # runs for which titles are rather wrapped than that the runs should not stand beside each other


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, no such run, or runs that cannot be compared.
        RunFolderError: a run that is not finished, has too few samples or is damaged; or `out` cannot be written.
        WeightsError: the weights of the first run's encoder, or of the independent network, cannot be used.
    """
    console = console if console is not None else Console()
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        console.print(HELP["compare"].rstrip(), highlight=False, markup=False, soft_wrap=True)
        return 0
    settings = parse(arguments)

    from invset.cli.together import together
    from invset.report.comparison_page import comparison_histograms, comparison_notes, comparison_rows

    names = run_names(settings.folders)
    found = together(settings.folders, names, settings.n, settings.features, settings.seed, settings.factory)
    rows = found.rows
    told = comparison_notes(found.samples, found.n, found.where, settings.seed)
    if settings.features is not None and settings.features == found.kind:
        told.append(f"features={settings.features} is the network of {names[0]}, and no independent one.")
    _print(console, names, rows, told)
    _write(
        settings.out,
        names,
        rows,
        told,
        [comparison_rows(found.samples, found.n, settings.seed), comparison_histograms(found.samples)],
    )
    console.print(f"{shown(settings.out)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _print(console: Console, names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> None:
    tables = list(_tables(console.width, names, rows))
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _tables(width: int, names: Sequence[str], rows: Sequence[Row]) -> Iterator[Table]:
    """One table, or where runs are too many for the width several, of as many runs each as it has room for."""
    from invset.report.tables import format_cell as cell_text

    cells = [[cell_text(cell) for cell in row.cells] for row in rows]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, (name, *column))) for name, column in zip(names, columns, strict=True)]
    titles = max(len(row.title) for row in rows)
    if sum(widths) + 2 * len(widths) + TITLES > width:
        # Intervals go on a line of their own before they would be broken in the middle; texts are wrapped.
        columns = [[text.replace(" [", "\n[") for text in column] for column in columns]  # type: ignore[misc]
        numbers = [not any(isinstance(cell, str) for cell in row.cells) for row in rows]
        widths = [
            max(len(line) for text in (name, *compress(column, numbers)) for line in text.split("\n"))
            for name, column in zip(names, columns, strict=True)
        ]
        widest = sorted(widths)[-BESIDE:]
        titles = max(TITLES, min(titles, width - sum(widest) - 2 * len(widest)))
    first = 0
    while first < len(names):
        last = first + 1
        while last < len(names) and titles + sum(widths[first : last + 1]) + 2 * (last + 1 - first) <= width:
            last += 1
        table = Table(box=None, pad_edge=False)
        table.add_column("", max_width=titles)
        for name, wide in zip(names[first:last], widths[first:last], strict=True):
            table.add_column(Text(name), justify="right", overflow="fold", max_width=wide)
        for row, texts in zip(rows, zip(*columns, strict=True), strict=True):
            table.add_row(Text(row.title), *map(Text, texts[first:last]))
        yield table
        first = last


def _write(
    out: Path,
    names: Sequence[str],
    rows: Sequence[Row],
    notes: Sequence[str],
    pictures: Sequence[Image],
) -> None:
    from invset.report.tables import csv_line, csv_text, format_cell, markdown_table
    from invset.run.files import write_atomically
    from invset.run.sheet import save_picture

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be made a folder ({error.strerror}). Choose another with out=.") from error
    write_atomically(
        out / "compare.csv",
        csv_text([{"run": name, **csv_line(rows, i)} for i, name in enumerate(names)]).encode("utf-8", "replace"),
    )
    write_atomically(
        out / "compare.md",
        (
            markdown_table(["", *names], [[row.title, *map(format_cell, row.cells)] for row in rows])
            + "\n\n"
            + "\n".join(f"- {note}" for note in notes)
            + "\n"
        ).encode("utf-8", "replace"),
    )
    for name, picture in zip(("rows.png", "histograms.png"), pictures, strict=True):
        save_picture(out / name, picture)
