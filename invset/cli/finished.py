"""Runs that have come to their end, as commands find them: their configs, and the networks they were made with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from invset.cli.check import Targets, check_sample
from invset.cli.fetching import fetch_for_run
from invset.cli.schema import NetworkConfig, SampleConfig
from invset.errors import ConfigError, RunFolderError
from invset.names import hint
from invset.run.layout import Layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from invset.cli.encoder import Networks
    from invset.report.readings import Observer


def run_folder(path: Path) -> Path:
    """The folder, if there is a run in it. Raises ConfigError."""
    if Layout(path).config.is_file():
        return path
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such run; give the folder that invset sample wrote, as outputs/….")
    if inner := sorted(path.glob("*/config.yaml")):
        raise ConfigError(f"{path}: holds {len(inner)} runs, and is none: give them one by one, as {path}/*")
    raise ConfigError(f"{path}: there is no run in this folder (no config.yaml); give one that invset sample wrote.")


def read_config(folder: Path) -> SampleConfig:
    """The config of the run in a folder.

    Raises:
        RunFolderError: it cannot be read, or is none.
    """
    path = Layout(folder).config
    try:
        values = OmegaConf.merge(OmegaConf.structured(SampleConfig), OmegaConf.create(path.read_text("utf-8")))
        config = OmegaConf.to_object(values)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). Put it back as the run left it.") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, ValueError, TypeError) as error:
        reason = " ".join(f"{error}".split("\n")[0].split())
        raise RunFolderError(f"{path}: damaged: no config of a run ({reason}). Put it back as the run left it.") from (
            error
        )
    assert isinstance(config, SampleConfig)
    return config


def targets_of(folder: Path, config: SampleConfig) -> Targets:
    """Units and ranges of a run's config. Raises RunFolderError: they are none."""
    try:
        return check_sample(config)
    except ConfigError as error:
        raise RunFolderError(f"{Layout(folder).config}: damaged: {error}") from error


def encoder_of(config: SampleConfig, networks: Networks) -> tuple[Callable[[Tensor], Tensor], str]:
    """Images (b, 3, h, w) -> encodings (b, d) by the encoder of a run's config, and what to call it.

    Raises:
        ConfigError: the config is of no network there is.
        WeightsError: a network's weights cannot be used.
    """
    from invset.cli.encoder import built_encoder, given, settled_encoder
    from invset.models.reader import Encoder
    from invset.models.registry import build_generator

    settled = config.encoder
    encoder: Encoder | None = None
    if settled.network in ("same", "auto", "own"):
        network = networks.get(config.network.kind, config.network)
        if settled.network != "same":  # written by hand: a run's own config says what it was
            generator = build_generator(config.generator.kind, find=fetch_for_run, **given(config.generator))
            settled = settled_encoder(settled, config.network, network, generator)
        encoder = built_encoder(settled, network, networks)
    elif settled.network != "none" and settled.layer is not None:
        encoder = Encoder(networks.get(settled.network, settled), settled.layer)
    if encoder is None:
        return (lambda images: images.flatten(1)), "of the images themselves"
    return encoder, f"in {encoder.layer} of {encoder.network.name}"


def networks_for(config: SampleConfig, device: torch.device) -> Networks:
    """Networks that are built once each, in the precision of a run."""
    from invset.cli.device import place
    from invset.cli.encoder import Networks

    # Where float16 or tf32 is not to be had, float32 comes nearest to what the run computed.
    precision = "float32" if device.type == "cpu" and config.precision in ("float16", "tf32") else config.precision
    return Networks(lambda network: place(network, device, precision, config.channels_last))


def observer_of(features: str | None, networks: Networks) -> Observer | None:
    """The independent network that features= names, KIND or KIND:NAME; None for None.

    Raises:
        ConfigError: there is no such network, or it has no layer that features are taken from.
        WeightsError: its weights, or the package that holds them, are not here.
    """
    from invset.models.registry import NETWORKS
    from invset.report.readings import Observer

    if features is None:
        return None
    kind, _, name = features.partition(":")
    if kind not in NETWORKS or kind in ("custom", "linear"):
        raise ConfigError(f"features={features}: {hint(kind, set(NETWORKS) - {'custom', 'linear'})}")
    if kind in ("timm", "torchvision") and not name:
        raise ConfigError(f"features={kind}: it has many networks; give the name of one, as features={kind}:resnet18.")
    return Observer.of(networks.get(kind, NetworkConfig(kind, name or None)))


def require_known_functions(config: SampleConfig, folder: Path, named: str | None) -> None:
    """Folders of runs are passed on: a function that one names is called only if the user names it too.

    Raises:
        ConfigError: he has not.
    """
    for part in (config.network, config.encoder, config.generator):
        if part.factory is not None and part.factory != named:
            raise ConfigError(
                f"{folder}: this run calls a function, {part.factory}, to make its encoder. If it is yours, add "
                f"factory={part.factory} to the command."
            )
