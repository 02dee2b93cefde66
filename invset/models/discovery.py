"""Any module as a network: its layers are whatever its modules give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from invset.errors import ConfigError
from invset.models.colours import Colours
from invset.models.labels import labels_for
from invset.models.layers import discover
from invset.models.network import Network, blank_images

LOGITS = "logits"  # what the module itself gives


def discovered_network(
    name: str,
    module: nn.Module,
    size: int,
    colours: Colours,
    labels: str | Path | None = None,
    aliases: Mapping[str, str] | None = None,
    files: tuple[Path, ...] = (),
) -> Network:
    """The module as a network: a layer for each path, `logits` for its own output, and the aliases.

    An alias never hides a path of that name. Labels are those of `logits` and of the layers that give the very same.

    Args:
        name: for messages.
        module: images (b, 3, size, size), in the colours -> anything.
        size: pixels a side.
        colours: what the module takes.
        labels: a file of the classes' names; None: ImageNet's, if there are 1000.
        aliases: public name -> path.
        files: of its weights.

    Raises:
        ConfigError: it cannot be run at that size, has no layer to read, or not as many classes as there are labels.
        WeightsError: the labels cannot be read.
    """
    try:
        found = discover(module.eval(), blank_images(module, colours, (size, size)))
    except Exception as error:  # of others' code: anything
        raise ConfigError(
            f"network {name} cannot be run on images of {size}x{size} pixels ({type(error).__name__}: {error}). "
            "Give another size, if that is why."
        ) from error
    layers: dict[str, str] = {}
    for path in found:
        layers |= {alias: path for alias, target in (aliases or {}).items() if target == path and alias not in found}
        if path:
            layers[path] = path
    if "" in found:
        layers.setdefault(LOGITS, "")
    if not layers:
        raise ConfigError(f"network {name}: none of its modules gives one vector, sequence or map for each image.")
    classes = {layer: found[path].shape[0] for layer, path in layers.items() if found[path].final}
    if labels is not None and not classes:
        raise ConfigError(f"network {name} gives no vector of classes, so that {labels} names nothing; leave it out.")
    shapes = {layer: found[path].shape for layer, path in layers.items()}
    return Network(name, module, layers, (3, size, size), labels_for(classes, labels), files, colours, shapes)
