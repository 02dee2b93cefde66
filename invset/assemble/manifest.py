"""manifest.json: what a run was made with, to know it again and to resume it."""

from __future__ import annotations

import hashlib
import platform
import time
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from invset import __version__
from invset.assemble.sampling import Sampling
from invset.errors import ConfigError, RunFolderError
from invset.models.network import Generator, Network
from invset.settings import SampleSettings

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "pillow", "numpy", "safetensors", "timm")


def describe_run(settings: SampleSettings, sampling: Sampling, overrides: list[str]) -> dict[str, Any]:
    """Versions, weights and their checksums, device, threads, random seed, overrides; classes that are hardly known."""
    models = sampling.models
    device = models.device
    used: list[Network | Generator] = [models.network, models.generator]
    used += [encoder.network for encoder in (models.encoder, models.inverse) if encoder is not None]
    return {
        "invset": __version__,
        "overrides": overrides,
        "units": [unit.describe() for unit in models.units],
        "hardly_known": list(sampling.unknown),
        "random_seed": settings.seed,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "weights": [entry for model in dict.fromkeys(used) for entry in _weights(model)],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def require_same_weights(folder: Path, saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Refuse to resume with other weights; returns what else differs that may change the last bits of a result.

    Raises:
        ConfigError: a file of weights is not the one that the run was made with.
        RunFolderError: the saved manifest does not say.
    """
    if not {"weights", "packages", "invset", "device", "threads"} <= saved.keys():
        raise RunFolderError(f"{folder}/manifest.json: damaged: it does not say what the run was made with.")
    for before, after in zip_longest(saved["weights"], now["weights"], fillvalue={"file": "none", "sha256": "none"}):
        if before["sha256"] != after["sha256"]:
            raise ConfigError(
                f"{folder} was made with other weights ({before['file']}, sha256 {before['sha256'][:12]}…, is now "
                f"{after['sha256'][:12]}…). Put the old file back (invset {saved['invset']}), or start a new run."
            )
    saved, now = saved | {"torch": saved["packages"]["torch"]}, now | {"torch": now["packages"]["torch"]}
    what = ("device", "threads", "torch")
    return [f"{name} {saved[name]} then, {now[name]} now" for name in what if saved[name] != now[name]]


def _weights(model: Network | Generator) -> list[dict[str, str]]:
    """The files of a model's weights; without one, what its tensors are."""
    if model.files:
        return [{"file": path.name, "sha256": _sha256(path)} for path in model.files]
    digest = hashlib.sha256()
    for name, value in sorted(model.module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return [{"file": f"{model.name}, from no file", "sha256": digest.hexdigest()}]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
