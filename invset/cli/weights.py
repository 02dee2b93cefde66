"""`invset weights`: which files of weights are known, which are here, and how they come here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from invset.cli.fetching import Display, announcement, say
from invset.cli.help import HELP
from invset.errors import ConfigError, WeightsError
from invset.weights import cache, disk, records
from invset.weights.archive import is_archive
from invset.weights.known import KNOWN, Weights, find


def run(arguments: Sequence[str], console: Console | None = None, errors: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, or no weights of that name.
        WeightsError: weights are not here, are not right, or cannot be fetched or kept.
    """
    out = console if console is not None else Console()
    err = errors if errors is not None else Console(stderr=True)
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        say(out, HELP["weights"].rstrip())
        return 0
    action, *rest = arguments
    if action not in _ACTIONS:
        close = difflib.get_close_matches(action, _ACTIONS, n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(_ACTIONS)}."
        raise ConfigError(f"weights {action}: there is no such action: {advice}")
    return _ACTIONS[action](rest, out, err)


def _list(arguments: Sequence[str], out: Console, err: Console) -> int:
    long, names = "--long" in arguments, _names(arguments, {"--long"})
    chosen = [find(name) for name in names] or _all()
    if long or names:
        for weights in chosen:
            say(out, _described(weights) + "\n")
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
    say(out, f"\nin {cache.folder()}")
    return 0


def _fetch(arguments: Sequence[str], out: Console, err: Console) -> int:
    from invset.weights.fetch import fetch

    chosen = [find(name) for name in _some(arguments, "fetch")]
    for weights in chosen:
        found = cache.checked(weights)
        if found is None:
            if not cache.offline():
                say(out, announcement(weights))
            with Display(err, weights) as display:
                found = fetch(weights, display.show)
            say(out, f"  {cache.in_words(weights, None)}")
        say(out, f"{weights.name}: {found}")
    return 0


def _verify(arguments: Sequence[str], out: Console, err: Console) -> int:
    names = _names(arguments, set())
    chosen = [find(name) for name in names] or [weights for weights in _all() if cache.located(weights) is not None]
    if not chosen:
        say(out, f"no weights are in {cache.folder()}")
    failed = False
    for weights in chosen:
        verdict = cache.verify(weights)
        failed = failed or not verdict.good
        if verdict.good:
            say(out, f"{weights.name}: {verdict.words}")
        elif verdict.path is None:
            say(err, f"{weights.name}: not here: invset weights fetch {weights.name}")
        else:
            say(err, f"{weights.name}: WRONG, {verdict.words}; fetch it again, or remove {verdict.path}")
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
    say(out, str(found))
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
    say(out, f"{weights.name}: {words}\n{verdict.path}")
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
