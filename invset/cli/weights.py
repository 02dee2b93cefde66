"""`invset weights`: which files of weights are known, which are here, and how they come here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from invset.cli.help import HELP
from invset.errors import ConfigError, WeightsError
from invset.weights import cache, disk, records
from invset.weights.archive import is_archive
from invset.weights.known import KNOWN, Weights, find

if TYPE_CHECKING:
    from invset.weights.progress import Progress


def run(arguments: Sequence[str], console: Console | None = None, errors: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, or no weights of that name.
        WeightsError: weights are not here, are not right, or cannot be fetched or kept.
    """
    out = console if console is not None else Console()
    err = errors if errors is not None else Console(stderr=True)
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        _say(out, HELP["weights"].rstrip())
        return 0
    action, *rest = arguments
    if action not in _ACTIONS:
        close = difflib.get_close_matches(action, _ACTIONS, n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(_ACTIONS)}."
        raise ConfigError(f"weights {action}: there is no such action: {advice}")
    return _ACTIONS[action](rest, out, err)


def fetch_for_run(weights: Weights, errors: Console | None = None) -> Path:
    """The file, for a run that needs it: silent if it is here, else fetched, with a line of what from where.

    Raises:
        WeightsError: it is not here and cannot be fetched; says what to do by hand.
    """
    from invset.weights.fetch import fetch  # requests takes its time to import

    found = cache.checked(weights)
    if found is not None:
        return found
    if cache.offline():
        return cache.require(weights)
    console = errors if errors is not None else Console(stderr=True)
    _say(console, announcement(weights))
    with Display(console, weights) as display:
        return fetch(weights, display.show)


def announcement(weights: Weights) -> str:
    """What is about to be fetched, from where, on which terms, and who vouches for it."""
    size = "" if weights.size is None else f" ({disk.in_words(weights.size)})"
    host = urlsplit(weights.sources[0].url).hostname if weights.sources else "nowhere"
    trust = "" if weights.checksums else "; no checksum is published: trusted on first use"
    return f"fetching {weights.name}{size} from {host}; terms: {weights.terms}{trust}"


class Display:
    """A bar on a terminal; elsewhere a line when it waits, or goes on to another source."""

    def __init__(self, console: Console, weights: Weights) -> None:
        self._console = console
        self._before = ("downloading", weights.sources[0] if weights.sources else None, "")
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if not self._bars.disable:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._bars.disable:  # an older rich would print an empty line
            self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Show where fetching stands."""
        now = (progress.phase, progress.source, progress.note)
        if now != self._before and progress.phase not in ("checking", "unpacking"):
            if progress.phase != "downloading":
                _say(self._console, "  " + progress.phase + (f": {progress.note}" if progress.note else ""))
            elif progress.source != self._before[1] and progress.source is not None:
                _say(self._console, f"  from {progress.source.url}")
            self._before = now
        if self._bars.disable:
            return
        if self._task is None:
            self._task = self._bars.add_task(progress.phase, total=progress.total)
        self._bars.update(
            self._task, description=progress.phase, completed=progress.done, total=progress.total, refresh=False
        )


def _list(arguments: Sequence[str], out: Console, err: Console) -> int:
    long, names = "--long" in arguments, _names(arguments, {"--long"})
    chosen = [find(name) for name in names] or _all()
    if long or names:
        for weights in chosen:
            _say(out, _described(weights) + "\n")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "here", "size", "checksum", "terms"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for weights in chosen:
        path = cache.located(weights)
        here = "no" if path is None else "yes" if cache.remembered(weights) else "unchecked"
        size = weights.size if path is None else disk.size_of(path)
        published = "published" if weights.checksums else "first use"
        table.add_row(weights.name, here, "?" if size is None else disk.in_words(size), published, weights.short_terms)
    out.print(table, markup=False, highlight=False, emoji=False)
    _say(out, f"\nin {cache.folder()}")
    return 0


def _fetch(arguments: Sequence[str], out: Console, err: Console) -> int:
    from invset.weights.fetch import fetch

    chosen = [find(name) for name in _some(arguments, "fetch")]
    for weights in chosen:
        found = cache.checked(weights)
        if found is None:
            if not cache.offline():
                _say(out, announcement(weights))
            with Display(err, weights) as display:
                found = fetch(weights, display.show)
            _say(out, f"  {cache.in_words(weights, None)}")
        _say(out, f"{weights.name}: {found}")
    return 0


def _verify(arguments: Sequence[str], out: Console, err: Console) -> int:
    names = _names(arguments, set())
    chosen = [find(name) for name in names] or [weights for weights in _all() if cache.located(weights) is not None]
    if not chosen:
        _say(out, f"no weights are in {cache.folder()}")
    failed = False
    for weights in chosen:
        verdict = cache.verify(weights)
        failed = failed or not verdict.good
        if verdict.good:
            _say(out, f"{weights.name}: {verdict.words}")
        elif verdict.path is None:
            _say(err, f"{weights.name}: not here: invset weights fetch {weights.name}")
        else:
            _say(err, f"{weights.name}: WRONG, {verdict.words}; fetch it again, or remove {verdict.path}")
    return 1 if failed else 0


def _path(arguments: Sequence[str], out: Console, err: Console) -> int:
    names = _names(arguments, set())
    if len(names) != 1:
        raise ConfigError("weights path takes one name: invset weights path caffenet")
    weights = find(names[0])
    found = cache.checked(weights)
    if found is None:
        verdict = cache.verify(weights)
        there = "not here" if verdict.path is None else f"{verdict.path} is not the right file ({verdict.words})"
        raise WeightsError(f"weights {weights.name}: {there}; run: invset weights fetch {weights.name}")
    _say(out, str(found))
    return 0


def _add(arguments: Sequence[str], out: Console, err: Console) -> int:
    names = _names(arguments, set())
    if len(names) != 2:
        raise ConfigError("weights add takes a name and a path: invset weights add caffenet PATH")
    weights, path = find(names[0]), Path(names[1]).expanduser()
    if not weights.checksums and path.is_file() and not is_archive(path):
        _require_readable(path, weights)
    before = records.read(cache.folder()).get(weights.name)
    verdict = cache.add(weights, path)
    after = records.read(cache.folder()).get(weights.name)
    words = verdict.words
    if before is not None and after is not None and before.sha256 != after.sha256:
        words += f", in the place of that of {before.checked}"
    _say(out, f"{weights.name}: {words}\n{verdict.path}")
    return 0


def _require_readable(path: Path, weights: Weights) -> None:
    """No checksum vouches for the file: it should at least be one of its kind. Raises WeightsError."""
    from invset.weights import caffemodel, matconvnet, tensors  # torch

    readers: dict[str, Callable[[Path], object]] = {
        ".caffemodel": caffemodel.read_caffemodel,
        ".mat": matconvnet.read_matconvnet,
    }
    readers.get(Path(weights.file).suffix, tensors.read_tensors)(path)


_ACTIONS: dict[str, Callable[[Sequence[str], Console, Console], int]] = {
    "list": _list,
    "fetch": _fetch,
    "verify": _verify,
    "path": _path,
    "add": _add,
}


def _described(weights: Weights) -> str:
    known = records.read(cache.folder()).get(weights.name)
    path = cache.located(weights)
    size = "not published" if weights.size is None else f"{weights.size:,} bytes"
    lines = [weights.name, f"  {weights.about}", f"  file      {weights.file}", f"  size      {size}"]
    for algorithm, digest in weights.checksums.items():
        lines.append(f"  {algorithm:<8}  {digest}")
    if not weights.checksums:
        lines.append("  checksum  none is published: trusted on first use, recorded, and wanted again")
    for source in weights.sources:
        lines.append(f"  from      {source.url}" + (f" -> {source.member}" if source.member else ""))
    lines.append(f"  terms     {weights.terms}")
    lines.append(f"  here      {path or 'no'}")
    if known is not None:
        lines.append(f"  recorded  {known.checked}, by {known.trust}, sha256 {known.sha256}, {known.source}")
    return "\n".join(lines)


def _all() -> list[Weights]:
    """What is known, and what of torchvision's has been here."""
    others = [name for name in records.read(cache.folder()) if name not in KNOWN and name.endswith(".pth")]
    return [*KNOWN.values(), *(find(name) for name in others)]


def _some(arguments: Sequence[str], action: str) -> list[str]:
    names = _names(arguments, set())
    if not names:
        raise ConfigError(
            f"weights {action}: of what? As invset weights {action} caffenet; there are {', '.join(KNOWN)}."
        )
    return list(dict.fromkeys(names))


def _names(arguments: Sequence[str], flags: set[str]) -> list[str]:
    for argument in arguments:
        if argument.startswith("-") and argument not in flags:
            raise ConfigError(f"weights: there is no option {argument}; see invset weights --help")
    return [argument for argument in arguments if argument not in flags]


def _say(console: Console, text: str) -> None:
    console.out(text, highlight=False)
