"""`invset weights`: which files of weights are known, which are here, and how they come here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from invset.cli.fetching import fetch_for_run
from invset.cli.help import describe_command
from invset.cli.terminal import say
from invset.errors import ConfigError
from invset.files import user_path
from invset.names import hint
from invset.weights import cache
from invset.weights.known import KNOWN, SourceError, Weights, find


def run(arguments: Sequence[str], console: Console | None = None, errors: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, or no weights of that name.
        WeightsError: weights are not here, are not right, or cannot be fetched or kept.
    """
    out = console if console is not None else Console()
    err = errors if errors is not None else Console(stderr=True)
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        say(out, describe_command("weights").rstrip())
        return 0
    action, *rest = arguments
    if action not in ACTIONS:
        raise ConfigError(f"weights {action}: there is no such action: {hint(action, ACTIONS)}")
    for argument in rest:
        if argument.startswith("-") and (action, argument) != ("list", "--long"):
            raise ConfigError(f"weights: there is no option {argument}; see invset weights --help")
    return ACTIONS[action](rest, out, err)


def _list(arguments: Sequence[str], out: Console, err: Console) -> int:
    names = [argument for argument in arguments if argument != "--long"]
    chosen = [find(name) for name in names] or _all()
    if arguments:
        for weights in chosen:
            say(out, _describe(weights) + "\n")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "here", "size", "checksum", "terms"):
        table.add_column(column, overflow="fold", justify="right" if column == "size" else "left")
    for weights in chosen:
        path = cache.find_file(weights)
        size = weights.size if path is None else path.stat().st_size
        table.add_row(
            weights.name,
            "no" if path is None else "yes",
            "?" if size is None else decimal(size),
            "published" if weights.checksums else "first use",
            weights.terms.split(";")[0],
        )
    out.print(table, markup=False, highlight=False, emoji=False)
    say(out, f"\nin {cache.folder()}")
    return 0


def _fetch(names: Sequence[str], out: Console, err: Console) -> int:
    if not names:
        raise ConfigError(
            f"weights fetch: name the weights, as invset weights fetch caffenet; there are {', '.join(KNOWN)}."
        )
    for weights in [find(name) for name in names]:
        path = fetch_for_run(weights, err)
        say(out, f"{weights.name}: {path}")
    return 0


def _verify(names: Sequence[str], out: Console, err: Console) -> int:
    chosen = [find(name) for name in names] or [weights for weights in _all() if cache.find_file(weights)]
    if not chosen:
        say(out, f"no weights are in {cache.folder()}")
    code = 0
    for weights in chosen:
        path, mistake = cache.find_file(weights), f"not here: invset weights fetch {weights.name}"
        try:
            if path is not None:
                cache.verify(weights, path)
                say(out, f"{weights.name}: {cache.describe_trust(weights)}")
                continue
        except SourceError as error:
            mistake = f"WRONG, {error}; fetch it again, or remove {path}"
        say(err, f"{weights.name}: {mistake}")
        code = 1
    return code


def _path(names: Sequence[str], out: Console, err: Console) -> int:
    if len(names) != 1:
        raise ConfigError("weights path takes one name: invset weights path caffenet")
    say(out, str(cache.require(find(names[0]))))
    return 0


def _add(arguments: Sequence[str], out: Console, err: Console) -> int:
    if len(arguments) != 2:
        raise ConfigError("weights add takes a name and a path: invset weights add caffenet PATH")
    weights = find(arguments[0])
    path = cache.add(weights, user_path(arguments[1]))
    say(out, f"{weights.name}: {cache.describe_trust(weights)}\n{path}")
    return 0


ACTIONS: dict[str, Callable[[Sequence[str], Console, Console], int]] = {
    "list": _list,
    "fetch": _fetch,
    "verify": _verify,
    "path": _path,
    "add": _add,
}


def _describe(weights: Weights) -> str:
    record = cache.read_record(weights)
    size = "not published" if weights.size is None else f"{weights.size:,} bytes"
    lines = [weights.name, f"  {weights.about}", f"  file      {weights.file}", f"  size      {size}"]
    lines += [f"  {algorithm:<8}  {digest}" for algorithm, digest in weights.checksums.items()]
    if not weights.checksums:
        lines.append("  checksum  none is published: the first file's SHA-256 is recorded, and later files must match")
    for source in weights.sources:
        lines.append(f"  from      {source.url}" + (f" -> {source.member}" if source.member else ""))
    lines += [f"  terms     {weights.terms}", f"  here      {cache.find_file(weights) or 'no'}"]
    if record is not None:
        lines.append(f"  recorded  {record.checked}, sha256 {record.sha256}, {record.source}")
    return "\n".join(lines)


def _all() -> list[Weights]:
    """What is known, and what of torchvision's has been here."""
    return [*KNOWN.values(), *(find(path.stem) for path in sorted(cache.folder().glob("*.pth.json")))]
