"""The layers of a network, their units, and the names that units have, in lines for people."""

from __future__ import annotations

from invset.errors import InvsetError
from invset.models.network import Network
from invset.models.unit import center, parse_unit
from invset.names import near, plain


def list_units(network: Network, find: str | None = None) -> list[str]:
    """The layers; or of `find` the layer of that name, the unit, or the units with that word in their names.

    Raises:
        InvsetError: nothing is found.
    """
    word = str(find).strip()
    layer, _, unit = word.partition(":")
    if find is None:
        return list_layers(network)
    if word in network.layers:
        return describe_layer(network, word)
    if unit and layer in network.layers:
        return [parse_unit(word, network).describe()]
    return find_units(network, word)


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
    return [*lines, "", "A unit is written layer:number, from 1, or layer:name."]


def describe_layer(network: Network, layer: str) -> list[str]:
    """What it gives, how its units are written, and their names."""
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
