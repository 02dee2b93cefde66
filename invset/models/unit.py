"""A unit, as people write it: `fc8:981`, `fc8:volcano`, `conv5:197:6:6`, `conv5:197:max`, `ln:12:0`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from math import isqrt
from typing import Literal

from torch import Tensor

from invset.errors import ConfigError
from invset.models.network import Network
from invset.names import near, plain

Word = Literal["center", "max", "mean"]
Position = Word | tuple[int, ...]

MOST_PREFIXES = 16  # tokens before the patches, as the class token
GRAMMAR = (
    "write layer:number, layer:label, or for a map layer:number:row:column, for tokens layer:number:token, for either "
    ":center, :max, :mean"
)


@dataclass(frozen=True)
class Unit:
    """One unit of a layer, and where on the layer's map, or at which of its tokens, it is read.

    Attributes:
        layer: its public name.
        index: which unit, from 0 (the text form counts from 1, as the paper does).
        position: the centre, the maximum, the mean, or (row, column) of a map or (token,), from 0; None for a vector.
        label: the unit's name, where it has one.
        map_size: (h, w) of the layer's map, or (tokens,); None for a vector layer.
    """

    layer: str
    index: int
    position: Position | None = None
    label: str | None = None
    map_size: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """The text that `parse_unit` reads back to the same unit, whatever the default position."""
        where = ":".join(map(str, self.position)) if isinstance(self.position, tuple) else self.position
        return f"{self.layer}:{self.index + 1}" + (f":{where}" if where else "")

    def describe(self) -> str:
        """For people: `fc8:981 volcano`, `conv5:97 at 8:8 of 16x16`, `conv5:97, the mean of 16x16`.

        Of tokens: `ln:12 at token 106 of 197`, `ln:12, the maximum of 197 tokens`.
        """
        name = f"{self.layer}:{self.index + 1}" + (f" {self.label}" if self.label else "")
        if self.position is None or self.map_size is None:
            return name
        tokens = len(self.map_size) == 1
        size = "x".join(map(str, self.map_size))
        if self.position in ("max", "mean"):
            what = "maximum" if self.position == "max" else "mean"
            return f"{name}, the {what} of {size}{' tokens' if tokens else ''}"
        at = center(*self.map_size) if isinstance(self.position, str) else self.position
        return f"{name} at {'token ' if tokens else ''}{':'.join(map(str, at))} of {size}"

    def read(self, output: Tensor) -> Tensor:
        """The layer's output (b, channels), (b, channels, tokens) or (b, channels, h, w) -> the activation (b,).

        Differentiable.
        """
        return self.at(output[:, self.index : self.index + 1])[:, 0]

    def at(self, output: Tensor) -> Tensor:
        """Some of the layer's units where this one is read: as for `read`, but -> (b, channels)."""
        if output.ndim == 2:
            return output
        if self.position == "max":
            return output.flatten(2).amax(dim=2)
        if self.position == "mean":
            return output.flatten(2).mean(dim=2)
        at = self.position if isinstance(self.position, tuple) else center(*output.shape[2:])
        for index in reversed(at):
            output = output[..., index]
        return output


def center(*size: int) -> tuple[int, ...]:
    """Where the centre is, from 0: (row, column) of an h x w map, h // 2, w // 2; 6, 6 for CaffeNet's 13 x 13.

    Of a number of tokens: (token,), the centre of the grid of patches, which come after the fewest other tokens (as
    the class token) that leave a square; 106 of 197 = 1 + 14 x 14. Where there is no grid, the middle token.
    """
    if len(size) > 1:
        return tuple(length // 2 for length in size)
    (tokens,) = size
    for prefixes in range(min(MOST_PREFIXES, tokens - 1) + 1):
        side = isqrt(tokens - prefixes)
        if side**2 == tokens - prefixes:
            return (prefixes + side // 2 * side + side // 2,)
    return (tokens // 2,)


def parse_unit(text: str, network: Network, default_position: Word = "center") -> Unit:
    """The unit that a text names.

    `layer:N` counts from 1, as the paper does. `layer:label` ignores case and apostrophes, and `_`, `-`, comma and
    space are equal (`fc8:school_bus`); digits alone are always a number. A label alone is that of the only layer which
    has it. On a layer of maps a position may follow: `:row:column`, counting from 0 (`conv5:197:6:6` is the centre of
    CaffeNet's 13 x 13), `:center`, `:max` or `:mean`; on a layer of tokens `:token`, counting from 0, which is the
    class token where there is one, or these.

    Args:
        text: as above.
        network: whose layers and labels are meant.
        default_position: where a map or sequence is read if the text does not say.

    Raises:
        ConfigError: no such layer, unit, label or position, or a label that several units have.
    """
    if ":" not in text:
        text = f"{_layer_with(text, network)}:{text}"
    layer, _, rest = (part.strip() for part in text.strip().partition(":"))
    if not layer or not rest:
        raise ConfigError(f"'{text}' is not a unit: {GRAMMAR}, as in {list(network.layers)[-1]}:1.")
    shape = network.shape(layer)
    name, *where = (part.strip() for part in rest.split(":"))
    index = _index(text, name, layer, network)
    labels = network.labels.get(layer, ())
    label = labels[index] if labels else None
    if len(shape) == 1 and not where:
        return Unit(layer, index, None, label)
    position = _position(text, where, shape[1:]) if where else default_position
    return Unit(layer, index, position, label, shape[1:])


def _layer_with(label: str, network: Network) -> str:
    """The layer that has a unit of that label; of several names of one layer the first."""
    named: dict[str, str] = {}
    for layer in network.labels:
        named.setdefault(network.layers[layer], layer)
    layers = [layer for layer in named.values() if plain(label) in map(plain, network.labels[layer])]
    if len(layers) == 1:
        return layers[0]
    close = [f"{layer}:{name}" for layer in layers or named.values() for name in near(label, network.labels[layer])]
    if not close or label in network.layers:
        raise ConfigError(f"'{label}' is not a unit: {GRAMMAR}, as in {list(network.layers)[-1]}:1.")
    raise ConfigError(f"'{label}' is not a unit: did you mean {' or '.join(map(shlex.quote, close))}?")


def _index(text: str, name: str, layer: str, network: Network) -> int:
    count = network.units(layer)
    if re.fullmatch(r"[+-]?\d+", name):
        number = int(name)
        if not 1 <= number <= count:
            raise ConfigError(f"'{text}': layer {layer} of {network.name} has units 1 to {count}, counted from 1.")
        return number - 1
    labels = network.labels.get(layer, ())
    numbers: dict[str, list[int]] = {}
    for number, label in enumerate(labels, start=1):
        numbers.setdefault(plain(label), []).append(number)
    found = numbers.get(plain(name), [])
    if len(found) == 1:
        return found[0] - 1
    if found:
        choices = " or ".join(f"{layer}:{number}" for number in found)
        raise ConfigError(f"'{text}': {len(found)} units of {layer} are labelled '{name}'; write {choices}.")
    candidates = [f"{label} ({n})" for label in near(name, labels) for n in numbers[plain(label)]]
    advice = f"did you mean {' or '.join(candidates)}?" if candidates else f"give a number, 1 to {count}."
    raise ConfigError(f"'{text}': no unit of layer {layer} of {network.name} is labelled '{name}'; {advice}")


def _position(text: str, where: list[str], size: tuple[int, ...]) -> Position:
    match where:
        case ["center" | "max" | "mean" as word] if size:
            return word
        case _ if len(where) == len(size) and all(re.fullmatch(r"\d+", at) for at in where):
            position = tuple(map(int, where))
            if all(at < length for at, length in zip(position, size, strict=True)):
                return position
    wanted = ("none: it is a vector", "center, max, mean, or a token", "center, max, mean, or row:column")[len(size)]
    last = f", from 0 to {':'.join(str(length - 1) for length in size)}" if size else ""
    raise ConfigError(f"'{text}': '{':'.join(where)}' is no position in this layer; give {wanted}{last}.")
