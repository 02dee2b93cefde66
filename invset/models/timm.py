"""Any network of timm, by its name there: the extra `timm`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from invset.errors import ConfigError, WeightsError
from invset.files import user_path
from invset.models.colours import Colours
from invset.models.discovery import discovered_network
from invset.models.network import Network
from invset.models.random_weights import drawing, randomise
from invset.names import hint
from invset.weights.cache import offline
from invset.weights.tensors import fill, read_tensors

ADVICE = "These are not that network's weights, by timm's names: give others, or another name."


def timm_network(
    name: str = "resnet18",
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    size: int | None = None,
    random_seed: int = 0,
) -> Network:
    """A network of timm: layers are module paths, and `logits`, its own output; colours and size as timm has them.

    Args:
        name: as timm.list_models gives them, with or without the weights' tag: resnet50, resnet50.a1_in1k.
        weights: a .pt, .pth or .safetensors of its state dict, with any number of classes; None: timm's own, which timm
            fetches, if INVSET_OFFLINE lets it; "random": none, and its units detect nothing.
        labels: a file of the classes' names; None: ImageNet's, if there are 1000.
        size: pixels a side; None: what the weights were trained for.
        random_seed: of random weights.

    Raises:
        ConfigError: timm is not installed, has no such network, or it does not run at that size.
        WeightsError: timm cannot get its weights, or the file cannot be read or holds another network.
    """
    timm = _timm()
    settings = _settings(timm, name)
    side = settings["input_size"][-1] if size is None else size
    options = {"img_size": side} if settings.get("fixed_input_size") and size is not None else {}
    colours = Colours(1.0, settings["mean"], settings["std"])
    files: tuple[Path, ...] = ()
    if weights is None:
        module = _pretrained(timm, name, settings, options)
    elif weights == "random":
        module = _created(timm, name, random_seed, options)
        randomise(name, module, random_seed, colours, side)
    else:
        files = (user_path(weights),)
        state = read_tensors(files[0])
        options |= _classes(settings, state)
        module = _created(timm, name, random_seed, options)
        fill(lambda: module, state, files[0], ADVICE)
    return discovered_network(name, module, side, colours, labels, None, files)


def _timm() -> Any:
    if offline():
        os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when timm imports the library that fetches
    try:
        import timm
    except ImportError as error:
        raise ConfigError(
            f"networks of timm need packages that are not installed ({error}): pip install 'invset[timm]'"
        ) from error
    return timm


def _settings(timm: Any, name: str) -> dict[str, Any]:
    """What timm knows of the weights of that name: input_size, mean, std, classifier …"""
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise ConfigError(f"timm has no network '{name}': {hint(architecture, timm.list_models())}")
    try:
        settings: dict[str, Any] = timm.get_pretrained_cfg(name, allow_unregistered=False).to_dict()
    except RuntimeError as error:
        tagged = list(timm.models.get_arch_pretrained_cfgs(architecture))
        raise ConfigError(f"timm has no weights '{name}': {hint(name, tagged)}") from error
    return settings


def _created(timm: Any, name: str, random_seed: int, options: Mapping[str, Any]) -> nn.Module:
    try:
        with drawing(random_seed):
            module: nn.Module = timm.create_model(name, **options)
    except (AssertionError, ValueError, TypeError, ZeroDivisionError) as error:
        raise ConfigError(f"timm cannot build {name} with {dict(options)} ({error}): give another size.") from error
    return module


def _pretrained(timm: Any, name: str, settings: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    source = settings.get("hf_hub_id") or settings.get("url") or "another place"
    try:
        if offline() and not settings.get("hf_hub_id"):  # for plain addresses timm knows no offline mode
            raise ConnectionError("INVSET_OFFLINE forbids the network")
        with drawing(0):
            module: nn.Module = timm.create_model(name, pretrained=True, **options)
    except Exception as error:  # of the libraries that fetch: anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"timm cannot get the weights of {name}, which it takes from {source} ({reason}). Build it once where "
            f"there is a network, with timm.create_model('{name}', pretrained=True), and copy its cache, the folder "
            "that HF_HOME names; or get the file by hand and give its path as the weights; or try random weights."
        ) from error
    return module


def _classes(settings: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, int]:
    """How many classes the file is for, by the shape of its last layer."""
    classifier = settings.get("classifier")
    first = classifier[0] if isinstance(classifier, tuple | list) else classifier
    weight = state.get(f"{first}.weight")
    return {"num_classes": weight.shape[0]} if weight is not None and weight.ndim else {}


NETWORKS = {"timm": timm_network}
