"""`invset compare`: finished runs side by side, as a table and as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from invset.cli.compare_settings import parse, run_names
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

    from invset.report.comparison import Measured, Row
    from invset.report.runs import FinishedRun

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
    configs = [read_config(folder) for folder in settings.folders]
    targets = [targets_of(folder, config) for folder, config in zip(settings.folders, configs, strict=True)]

    from invset.cli.build import prepare_torch
    from invset.report.comparison import compared
    from invset.report.pages import notes, pictures
    from invset.report.readings import measured
    from invset.report.runs import read_run
    from invset.run.summary import NEAR

    runs = [
        read_run(folder, config.method.name, target.ranges)
        for folder, config, target in zip(settings.folders, configs, targets, strict=True)
    ]
    names = run_names(settings.folders)
    n = _equal_n(runs, names, settings.n)
    require_known_functions(configs[0], settings.folders[0], settings.factory)
    device = prepare_torch("auto", None)
    networks = networks_for(configs[0], device)
    encode, where = encoder_of(configs[0], networks)
    observer = observer_of(settings.features, networks)
    samples = [
        measured(one, name, n, settings.seed, encode, observer, device) for one, name in zip(runs, names, strict=True)
    ]
    _require_one_size(samples, names)
    rows = compared(samples, runs[0].number("unrelated_distance"), NEAR, settings.seed)
    told = notes(runs, names, n, where, settings.seed)
    if settings.features is not None and settings.features == configs[0].network.kind:
        told.append(f"features={settings.features} is the network of {names[0]}, and no independent one.")
    _print(console, names, rows, told)
    _write(settings.out, names, rows, told, pictures(runs, samples, n, settings.seed))
    console.print(f"{shown(settings.out)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def _equal_n(runs: Sequence[FinishedRun], names: Sequence[str], asked: int | None) -> int:
    smallest = min(range(len(runs)), key=lambda index: runs[index].count)
    most = runs[smallest].count
    if asked is not None and asked > most:
        raise ConfigError(f"n={asked}: {names[smallest]} has {most} samples; give {most} or fewer, or leave it out.")
    return most if asked is None else asked


def _require_one_size(samples: Sequence[Measured], names: Sequence[str]) -> None:
    """Without an encoder, encodings are as long as images are large."""
    first = samples[0].encodings.shape[1]
    for one, name in zip(samples, names, strict=True):
        if one.encodings.shape[1] != first:
            raise ConfigError(
                f"{name}: its images are of another size than those of {names[0]}, whose encoder is the images "
                "themselves. Give a run with an encoder first."
            )


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
