"""Any classification network of torchvision, by its name there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from invset.errors import ConfigError
from invset.files import user_path
from invset.models.colours import Colours
from invset.models.discovery import discovered_network
from invset.models.network import Network
from invset.models.random_weights import hollow, randomise
from invset.names import hint
from invset.weights.fetch import fetch
from invset.weights.known import Weights, torchvision_weights
from invset.weights.tensors import fill, read_tensors

CLASSES = 1000
ADVICE = "These are not that network's weights, or not for that size: give others, or another name."
SIZED = {"vit_": "image_size", "maxvit_": "input_size"}  # networks built for one size of images
AUXILIARY = ("aux", "AuxLogits")  # heads of GoogLeNet and Inception that only training runs
RENAMED = (  # as torchvision itself does on loading: torchvision/models/densenet.py, vision_transformer.py
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\."), r"\1\2."),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def torchvision_network(
    name: str = "alexnet",
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    size: int | None = None,
    random_seed: int = 0,
    find: Callable[[Weights], Path] = fetch,
) -> Network:
    """A network of torchvision.models: layers are module paths, and `logits`, its own output.

    AlexNet and the VGGs also have the field's names: conv1 … conv5, or conv1_1 … conv5_3, and fc6, fc7, all after the
    ReLU; pool1 …; and fc8. A module that runs more than once, as a ResNet block's ReLU, is read the first time.

    Args:
        name: as in torchvision.models.list_models, such as resnet50.
        weights: a .pt, .pth or .safetensors of its state dict, with any number of classes; None: those that torchvision
            calls its default, fetched if need be; "random": none, and its units detect nothing.
        labels: a file of the classes' names; None: ImageNet's, if there are 1000.
        size: pixels a side; None: what the default weights were tested at.
        random_seed: of random weights.
        find: where the default weights are.

    Raises:
        ConfigError: there is no such network, or it does not run at that size.
        WeightsError: the file cannot be read, or holds another network.
    """
    models = _models()
    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"torchvision has no classification network '{name}': {hint(name, known)}")
    best = models.get_model_weights(name).DEFAULT
    tested = best.transforms()
    side = tested.crop_size[0] if size is None else size
    colours = Colours(1.0, tested.mean, tested.std)
    files: tuple[Path, ...] = ()
    if weights == "random":
        module = _built(name, side, CLASSES)
        randomise(name, module, random_seed, colours, side)
    else:
        files = (find(torchvision_weights(best.url)) if weights is None else user_path(weights),)
        module = _filled(name, side, files[0])
    return discovered_network(name, module, side, colours, labels, aliases(module), files)


def aliases(module: nn.Module) -> dict[str, str]:
    """The field's names for the layers of an AlexNet or VGG -> their paths; empty for any other network."""
    models = _models()
    if not isinstance(module, models.AlexNet | models.VGG):
        return {}
    blocks = isinstance(module, models.VGG)
    found: dict[str, str] = {}
    block = number = 1
    for path, layer in module.features.named_children():
        if isinstance(layer, nn.ReLU):
            found[f"conv{block}_{number}" if blocks else f"conv{number}"] = f"features.{path}"
            number += 1
        elif isinstance(layer, nn.MaxPool2d):
            found[f"pool{block}" if blocks else f"pool{number - 1}"] = f"features.{path}"
            block, number = block + 1, 1 if blocks else number
    number = 6
    for path, layer in module.classifier.named_children():
        if isinstance(layer, nn.Linear):
            found[f"fc{number}"] = f"classifier.{path}"
            number += 1
        elif isinstance(layer, nn.ReLU):
            found[f"fc{number - 1}"] = f"classifier.{path}"
    return found


def _models() -> Any:
    from torchvision import models

    return models


def _built(name: str, side: int, classes: int, auxiliary: bool = False) -> nn.Module:
    options: dict[str, Any] = {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        # Their weights come from another program, whose colours they make out of ImageNet's themselves.
        options |= {"init_weights": False, "aux_logits": auxiliary, "transform_input": True}
    for start, option in SIZED.items():
        if name.startswith(start):
            options[option] = side if option == "image_size" else (side, side)
    try:
        return hollow(lambda: _models().get_model(name, weights=None, **options))
    except (AssertionError, ValueError, ZeroDivisionError, RuntimeError, TypeError) as error:
        raise ConfigError(f"network {name} cannot be built for {side} pixels ({error}): give another size.") from error


def _filled(name: str, side: int, path: Path) -> nn.Module:
    state = {_renamed(key): value for key, value in read_tensors(path).items()}
    auxiliary = any(key.startswith(AUXILIARY) for key in state)
    module = _built(name, side, _class_count(name, side, auxiliary, state), auxiliary)
    if not list(module.parameters(recurse=False)):
        # Through its children, as MNASNet itself loads nothing without a number that plain files of tensors lack.
        fill(lambda: nn.ModuleDict(dict(module.named_children())), state, path, ADVICE)
        return module.eval()
    return fill(lambda: module, state, path, ADVICE)


def _class_count(name: str, side: int, auxiliary: bool, state: Mapping[str, Tensor]) -> int:
    """How many classes a state dict is for: where modules of 2 and of 3 classes differ, the state says it."""
    two, three = (_built(name, side, classes, auxiliary).state_dict() for classes in (2, 3))
    for path, value in two.items():
        if value.shape != three[path].shape and path in state and state[path].ndim == value.ndim:
            return state[path].shape[0]
    return CLASSES


def _renamed(key: str) -> str:
    for pattern, new in RENAMED:
        key = pattern.sub(new, key)
    return key


NETWORKS = {"torchvision": torchvision_network}
