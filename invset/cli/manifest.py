"""manifest.json: what a run was made with, so that it can be told apart and gone on with."""

from __future__ import annotations

import hashlib
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invset import __version__
from invset.cli.schema import SampleConfig
from invset.errors import ConfigError

if TYPE_CHECKING:
    from invset.cli.build import Sampling

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "pillow", "numpy", "safetensors", "timm")


def manifest(config: SampleConfig, sampling: Sampling, overrides: list[str]) -> dict[str, Any]:
    """Versions, weights and their checksums, device, threads, random seed, and the overrides that were given."""
    import torch

    models = sampling.models
    device = models.device
    encoder = sampling.reader.encoder
    files = [*models.network.files, *models.generator.files]
    if encoder is not None and encoder.network is not models.network:
        files += encoder.network.files  # last: older manifests lack them
    return {
        "invset": __version__,
        "overrides": overrides,
        "units": [unit.describe() for unit in models.units],
        "random_seed": config.seed,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "weights": [{"file": path.name, "sha256": _sha256(path)} for path in files],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def require_same_weights(folder: Path, saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Refuse to go on with other weights; returns what else differs that may change the last bits of a result.

    Raises:
        ConfigError: a file of weights is not the one that the run was made with.
    """
    for before, after in zip(saved["weights"], now["weights"], strict=False):
        if before["sha256"] != after["sha256"]:
            raise ConfigError(
                f"{folder} was made with other weights ({before['file']}, sha256 {before['sha256'][:12]}…, is now "
                f"{after['sha256'][:12]}…). Put the old file back (invset {saved['invset']}), or start a new run."
            )
    saved, now = saved | {"torch": saved["packages"]["torch"]}, now | {"torch": now["packages"]["torch"]}
    what = ("device", "threads", "torch")
    return [f"{name} {saved[name]} then, {now[name]} now" for name in what if saved[name] != now[name]]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
