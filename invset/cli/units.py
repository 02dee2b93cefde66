"""`invset units`: the layers of a network, their units, and the names that units have."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from omegaconf import DictConfig, OmegaConf

from invset.errors import InvsetError
from invset.settings import NetworkSettings, UnitsSettings, check

if TYPE_CHECKING:
    from invset.models.network import Network


def task(composed: DictConfig) -> int:
    """Print the layers, or one layer, or the units whose names have a word in them; returns the exit code.

    No weights are fetched for it.

    Raises:
        InvsetError: a setting or weights are wrong, or nothing is found.
    """
    config = cast(UnitsSettings, OmegaConf.to_object(composed))
    network = _network(config)
    word = str(config.find).strip()
    layer, _, unit = word.partition(":")
    if config.find is None:
        lines = list_layers(network)
    elif word in network.layers:
        lines = describe_layer(network, word)
    elif unit and layer in network.layers:
        from invset.models.unit import parse_unit

        lines = [parse_unit(word, network).describe()]
    else:
        lines = find_units(network, word)
    print("\n".join(lines))
    return 0


def _network(config: UnitsSettings) -> Network:
    from invset.assemble.device import prepare_torch
    from invset.assemble.models import builder_arguments
    from invset.cli.fetching import fetch_for_run
    from invset.models.registry import NETWORKS, build_network, takes_option

    check(config)
    prepare_torch("cpu", config.threads)
    chosen: NetworkSettings = config.network
    options = builder_arguments(chosen)
    # A network with classes that can have random weights: its layers are the same without the published ones.
    if chosen.kind in NETWORKS and all(takes_option(chosen.kind, option) for option in ("labels", "random_seed")):
        options.setdefault("weights", "random")
    return build_network(chosen.kind, find=fetch_for_run, **options)


def list_layers(network: Network) -> list[str]:
    """A line for each module: all names of the layer, what it gives, and what there is to know."""
    lines = [f"{network.name} sees images of {'x'.join(map(str, network.input_shape[1:]))} pixels"]
    names: dict[str, list[str]] = {}
    for name, path in network.layers.items():
        names.setdefault(path, []).append(name)
    width = max(len(", ".join(same)) for same in names.values())
    found = network.discover()
    for path, same in names.items():
        notes = "; units have names" if network.labels.get(same[0]) else ""
        if found[path].runs > 1:
            notes += f"; runs {found[path].runs} times, read the first time"
        lines.append(f"{', '.join(same):<{width}}  {describe_shape(network.shapes[same[0]])}{notes}")
    advice = "A unit is written layer:number, from 1, or layer:name. More: invset units LAYER, or a word to look for."
    return [*lines, "", advice]


def describe_layer(network: Network, layer: str) -> list[str]:
    """What it gives, how its units are written, and their names."""
    from invset.models.unit import center

    (count, *size), labels = network.shapes[layer], network.labels.get(layer, ())
    also = [name for name, path in network.layers.items() if path == network.layers[layer] and name != layer]
    called = f"; also called {', '.join(also)}" if also else ""
    example = f"{layer}:{count}"
    by_name = f", or by name, as '{layer}:{labels[-1]}'" if labels else ""
    lines = [
        f"{layer} of {network.name}: {describe_shape(network.shapes[layer])}{called}",
        f"Units are {layer}:1 to {example}{by_name}.",
    ]
    if size:
        where = f"a row from 0 to {size[0] - 1} and a column from 0 to {size[-1] - 1}, as {example}:0:0"
        if len(size) == 1:
            where = f"a token from 0 to {size[0] - 1}, as {example}:0 (the class token, where there is one)"
        middle = ":".join(map(str, center(*size)))
        lines.append(f"Read at {where}, or :center ({middle}, the default), :max, :mean.")
    numbered = [f"{number} {label}" for number, label in enumerate(labels, start=1)]
    return [*lines, "", *numbered] if labels else lines


def find_units(network: Network, word: str) -> list[str]:
    """Those whose names have the word in them, once where several layers share their names.

    Raises:
        InvsetError: there are none; says the names near it.
    """
    from invset.names import near, plain

    layers: dict[tuple[str, ...], str] = {}
    for layer, labels in network.labels.items():
        layers.setdefault(labels, layer)
    found = [
        f"{layer}:{number} {label}"
        for labels, layer in layers.items()
        for number, label in enumerate(labels, start=1)
        if plain(word) in plain(label)
    ]
    if found:
        return found
    names = near(word, [*network.layers, *(label for labels in layers for label in labels)])
    advice = f"did you mean {' or '.join(names)}?" if names else "invset units lists its layers."
    raise InvsetError(f"{network.name} has no layer '{word}', and no unit of such a name: {advice}")


def describe_shape(shape: tuple[int, ...]) -> str:
    """`4096 numbers`, `197 tokens of 768`, `256 maps of 13x13`."""
    if len(shape) == 1:
        return f"{shape[0]} number{'' if shape[0] == 1 else 's'}"
    if len(shape) == 2:
        return f"{shape[1]} tokens of {shape[0]}"
    return f"{shape[0]} maps of {shape[1]}x{shape[2]}"
