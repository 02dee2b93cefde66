"""`invset compare`: finished runs side by side, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
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

    from invset.report.measured import Row

TITLES = 24  # characters that titles of rows should have at least


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
    from invset.report.pages import notes, pictures

    names = run_names(settings.folders)
    found = together(settings.folders, names, settings.n, settings.features, settings.seed, settings.factory)
    runs, rows = found.runs, found.rows
    told = notes(runs, names, found.n, found.where, settings.seed)
    if settings.features is not None and settings.features == found.kind:
        told.append(f"features={settings.features} is the network of {names[0]}, and no independent one.")
    _print(console, names, rows, told)
    _write(settings.out, names, rows, told, pictures(runs, found.samples, found.n, settings.seed))
    console.print(f"{shown(settings.out)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _print(console: Console, names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> None:
    from invset.report.tables import shown as cell_text

    cells = [[cell_text(cell) for cell in row.cells] for row in rows]
    widths = [max(map(len, (name, *column))) for name, column in zip(names, zip(*cells, strict=True), strict=True)]
    # Intervals go on a line of their own before they would be broken in the middle.
    fits = sum(widths) + 2 * len(widths) + TITLES <= console.width
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(Text(row.title), *(Text(text if fits else text.replace(" [", "\n[")) for text in texts))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _write(
    out: Path,
    names: Sequence[str],
    rows: Sequence[Row],
    notes: Sequence[str],
    pictures: Sequence[Image],
) -> None:
    from invset.report.tables import as_csv, as_markdown
    from invset.run.files import write_atomically
    from invset.run.grids import save_picture

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be made a folder ({error.strerror}). Choose another with out=.") from error
    write_atomically(out / "compare.csv", as_csv(names, rows).encode("utf-8", "replace"))
    write_atomically(out / "compare.md", as_markdown(names, rows, notes).encode("utf-8", "replace"))
    for name, picture in zip(("rows.png", "histograms.png"), pictures, strict=True):
        save_picture(out / name, picture)
