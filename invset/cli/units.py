"""`invset units`: the layers of a network, their units, and the names that units have."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from omegaconf import DictConfig, OmegaConf
from rich.columns import Columns
from rich.console import Console
from rich.table import Table

from invset.settings import NetworkSettings, UnitsSettings, check

if TYPE_CHECKING:
    from invset.models.network import Network

FETCHED = ("caffenet", "places205", "torchvision", "timm")  # kinds whose layers are the same without their weights
NOT_FOUND = 1  # exit code
WIDE = 100_000  # columns of what is no terminal: nothing is cut short there


def task(composed: DictConfig) -> int:
    """Print the layers, or one layer, or the units whose names have a word in them; returns the exit code.

    No weights are fetched for it.

    Raises:
        InvsetError: a setting or weights are wrong.
    """
    config = cast(UnitsSettings, OmegaConf.to_object(composed))
    network = _network(config)
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False, soft_wrap=False)
    if config.find is None:
        _print_layers(console, network)
        return 0
    word = str(config.find).strip()
    if word in network.layers:
        _print_layer(console, network, word)
        return 0
    layer, _, unit = word.partition(":")
    if unit and layer in network.layers:
        from invset.models.unit import parse_unit

        console.print(parse_unit(word, network).describe())
        return 0
    return _search(console, network, word)


def _network(config: UnitsSettings) -> Network:
    from invset.assemble.device import prepare_torch
    from invset.assemble.models import builder_arguments
    from invset.cli.fetching import fetch_for_run
    from invset.models.registry import build_network

    check(config)
    prepare_torch("cpu", config.threads)
    chosen: NetworkSettings = config.network
    options = builder_arguments(chosen)
    if chosen.kind in FETCHED:
        options.setdefault("weights", "random")
    return build_network(chosen.kind, find=fetch_for_run, **options)


def _print_layers(console: Console, network: Network) -> None:
    """A line for each module: all names of the layer, what it gives, and what there is to know."""
    title = f"{network.name} sees images of {'x'.join(map(str, network.input_shape[1:]))} pixels"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    for heading in ("kind", "shape", "units"):
        table.add_column(heading, justify="right" if heading == "units" else "left", no_wrap=True)
    table.add_column("notes")
    runs = _runs(network)
    for path, names in _names_by_path(network).items():
        shape = network.shapes[names[0]]
        notes = ["named"] if names[0] in network.labels else []
        if runs.get(path, 1) > 1:
            notes.append(f"runs {runs[path]} times, read the first time")
        table.add_row(", ".join(names), kind_of(shape), in_words(shape), str(shape[0]), "; ".join(notes))
    if console.is_terminal:
        console.print(table)
    else:
        with console.capture() as text:
            console.print(table)
        console.print("\n".join(line.rstrip() for line in text.get().splitlines()))
    console.print(
        "\nA unit is written layer:number, from 1, or layer:name. More: invset units LAYER, or a word to look for."
    )


def _print_layer(console: Console, network: Network, layer: str) -> None:
    shape = network.shapes[layer]
    path = network.layers[layer]
    also = [name for name, other in network.layers.items() if other == path and name != layer]
    console.print(
        f"{layer} of {network.name}: {in_words(shape)}" + (f"; also called {', '.join(also)}" if also else "")
    )
    times = _runs(network).get(path, 1)
    if times > 1:
        console.print(f"Its module runs {times} times in a forward pass; it is read the first time.")
    for line in _how_to_write(network, layer):
        console.print(line)
    labels = network.labels.get(layer, ())
    if labels:
        console.print()
        numbered = [f"{number} {label}" for number, label in enumerate(labels, start=1)]
        if console.is_terminal:
            console.print(Columns(numbered, padding=(0, 3), column_first=True))
        else:
            console.print("\n".join(numbered))


def _how_to_write(network: Network, layer: str) -> list[str]:
    from invset.models.unit import center

    shape = network.shapes[layer]
    count, size = shape[0], shape[1:]
    labels = network.labels.get(layer, ())
    example = f"{layer}:{count}"
    by_name = f", or by name, as '{layer}:{labels[-1]}'" if labels else ""
    lines = [f"Units are {layer}:1 to {example}{by_name}."]
    if len(size) == 1:
        (token,) = center(*size)
        lines.append(
            f"Read at a token from 0 to {size[0] - 1}, as {example}:0 (the class token, where there is one), or "
            f":center ({token}, the default), :max, :mean."
        )
    elif size:
        row, column = center(*size)
        lines.append(
            f"Read at a row from 0 to {size[0] - 1} and a column from 0 to {size[1] - 1}, as {example}:0:0, or "
            f":center ({row}:{column}, the default), :max, :mean."
        )
    return lines


def _search(console: Console, network: Network, word: str) -> int:
    from invset.names import near, plain

    labelled = _labelled(network)
    names = [label for labels in labelled.values() for label in labels]
    wanted = plain(word)
    found = [
        f"{layer}:{number} {label}"
        for layer, labels in labelled.items()
        for number, label in enumerate(labels, 1)
        if wanted and wanted in plain(label)
    ]
    for line in found:
        console.print(line)
    if found:
        return 0
    close = near(word, [*network.layers, *names])
    if not names:
        advice = (
            f"did you mean {' or '.join(close)}?" if close else "its units have no names; invset units lists layers."
        )
    else:
        advice = f"did you mean {' or '.join(close)}?" if close else "no name is near."
    print(f"invset: {network.name} has no layer '{word}', and no unit of such a name: {advice}", file=sys.stderr)
    return NOT_FOUND


def kind_of(shape: tuple[int, ...]) -> str:
    """vector, tokens or map."""
    return ("vector", "tokens", "map")[len(shape) - 1]


def in_words(shape: tuple[int, ...]) -> str:
    """`4096 numbers`, `197 tokens of 768`, `256 maps of 13x13`."""
    if len(shape) == 1:
        return f"{shape[0]} number{'' if shape[0] == 1 else 's'}"
    if len(shape) == 2:
        return f"{shape[1]} tokens of {shape[0]}"
    return f"{shape[0]} maps of {shape[1]}x{shape[2]}"


def _names_by_path(network: Network) -> dict[str, list[str]]:
    """Path -> all names of the layer, aliases first."""
    names: dict[str, list[str]] = {}
    for name, path in network.layers.items():
        names.setdefault(path, []).append(name)
    return {path: sorted(found, key=lambda name: name == path) for path, found in names.items()}


def _labelled(network: Network) -> dict[str, tuple[str, ...]]:
    """One layer for each set of names, the first alias of those that share it."""
    chosen: dict[tuple[str, ...], str] = {}
    layers = [layer for layer in network.layers if network.labels.get(layer)]
    for layer in sorted(layers, key=lambda layer: layer == network.layers[layer]):
        chosen.setdefault(network.labels[layer], layer)
    return {layer: labels for labels, layer in chosen.items()}


def _runs(network: Network) -> dict[str, int]:
    """Path -> how many times it runs."""
    return {path: found.runs for path, found in network.discover().items()}
