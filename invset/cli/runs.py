"""`invset runs`: the runs and sweeps in a folder, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from os import walk
from pathlib import Path

from rich.console import Console

from invset.assemble.sampling import check_targets, describe_target
from invset.cli.compose import parse
from invset.cli.overrides import key_of
from invset.cli.sweep.jobs import RECORD, holds_sweep, read_jobs, read_record, read_status
from invset.cli.terminal import say, shorten
from invset.errors import ConfigError, InvsetError
from invset.run.config import read_config
from invset.run.json_files import read_json
from invset.run.layout import Layout
from invset.settings import MethodSettings

OUTPUTS = Path("outputs")  # where commands write, if nothing else is asked for


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    console = console or Console()
    settings = parse("runs", arguments, "folders")
    lines = [_describe(folder) for folder in find_runs([Path(folder) for folder in settings.folders] or [OUTPUTS])]
    if not lines:
        where = " ".join(settings.folders) or OUTPUTS
        say(console, f"no runs in {where} yet: invset sample makes one.")
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say(console, "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0


def find_runs(folders: list[Path]) -> list[Path]:
    """The folders of runs and of sweeps at or below some folders, newest first; a sweep's runs are not looked for.

    Raises:
        ConfigError: there is no such folder; without `outputs` there are simply no runs.
    """
    for folder in folders:
        if not folder.is_dir() and folder != OUTPUTS:
            raise ConfigError(f"{folder}: there is no such folder.")
    found = {path.parent.resolve(): path for folder in folders for path in _records(folder)}
    newest = sorted(found.values(), key=lambda path: (path.stat().st_mtime_ns, str(path)), reverse=True)
    return [path.parent for path in newest]


def _records(folder: Path) -> Iterator[Path]:
    """The file of each run or sweep by which it is known, and which is as old as it is."""
    for root, inner, files in walk(folder):
        record = next((name for name in (Layout(Path()).config.name, RECORD) if name in files), None)
        if record is not None:
            inner.clear()
            yield Path(root, record)


def _describe(folder: Path) -> tuple[str, str, str, str]:
    """Its folder, how many samples there are, what became of it, and what was sampled."""
    try:
        if holds_sweep(folder):
            return _describe_sweep(folder)
        paths, settings = Layout(folder), read_config(folder)
        status, _ = read_status(folder)
        targets = check_targets(settings)
        units = read_json(paths.manifest).get("units", targets.neurons)
        what = describe_target(units, targets.ranges, settings.constraint)
        if settings.method.name != MethodSettings().name:
            what += f", method={settings.method.name}"
        summary = read_json(paths.summary) if status not in ("running", "cut short", "failed") else {}
        samples = summary.get("samples", sum(1 for _ in paths.images.glob("[0-9]*.png")))
        return f"{shorten(folder)}", f"{samples} of {summary.get('wanted', settings.n)}", status, what
    except (InvsetError, ValueError):
        return f"{shorten(folder)}", "?", "damaged", "?"


def _describe_sweep(folder: Path) -> tuple[str, str, str, str]:
    jobs, (overrides, _) = read_jobs(folder), read_record(folder)
    counts = Counter(job.status for job in jobs)
    status = ", ".join(f"{count} {status}" for status, count in counts.items())
    settings = [override for override in overrides if not key_of(override).startswith("hydra")]
    return f"{shorten(folder)}", f"{len(jobs)} jobs", status, f"sweep of {' '.join(settings)}"
