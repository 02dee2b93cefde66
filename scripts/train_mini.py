"""Train the built-in model: stage=network, then export, generator, export and evaluate.

`python scripts/train_mini.py stage=network data=FOLDER`; the settings are in configs/train. A run that is
stopped, even by kill -9, goes on exactly when started again.
"""

import json
import logging
import sys
from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from invset.errors import ConfigError, InvsetError
from invset.models.mini import MiniGenerator, MiniNetwork, load_generator, load_network
from invset.training.checkpoint import initialise
from invset.training.data import ImageSet, join, load_images, named_folders, unit_folders
from invset.training.evaluate import accuracy, encode, reconstruction
from invset.training.export import export_generator, export_network
from invset.training.generator import GeneratorSettings, GeneratorTraining
from invset.training.loop import Evaluate, Training, save_png, train
from invset.training.network import NetworkSettings, NetworkTraining, Teacher

log = logging.getLogger("train_mini")


def network_stage(config: DictConfig) -> None:
    """Labels -> the network: checkpoint.pt in the folder `out`."""
    units, images, held_out = read_images(config)
    teacher = Teacher(config.teacher, images.names) if config.teacher else None
    settings = NetworkSettings(**config.settings)
    training = NetworkTraining(images, len(units), settings, config.seed, device(config), teacher)
    if config.init:
        training.start_from(config.init)
    run(config, training, (lambda: (training.evaluate(held_out), None)) if held_out else None)


def generator_stage(config: DictConfig) -> None:
    """The network's fc6 -> the generator: checkpoint.pt in the folder `out`."""
    units, images, held_out = read_images(config)
    network = load_network(config.network).to(device(config))
    settings = GeneratorSettings(**config.settings)
    if settings.raise_up_to and network.fc8.out_features != len(units):
        found = f"the network has {network.fc8.out_features} units, and the folder {len(units)} classes"
        hint = "Train a network on them (stage=network), or take settings.raise_up_to=0."
        raise ConfigError(f"{config.data}: {found}. {hint}")
    training = GeneratorTraining(network, images, settings, config.seed, device(config))
    if config.init:
        training.start_from(config.init)
    if held_out is None:
        run(config, training, None)
    else:
        codes = encode(network, held_out.images)
        run(config, training, lambda: training.evaluate(held_out, codes))


def export_stage(config: DictConfig) -> None:
    """Checkpoints -> network.safetensors and generator.safetensors, as `invset.models.mini` loads them."""
    units = unit_folders(config.data)
    out = Path(config.out)
    if config.network_checkpoint:
        network = MiniNetwork(len(units), norm=True)
        initialise(network, config.network_checkpoint, "network")
        export_network(network, units, out)
    if config.generator_checkpoint:
        generator = MiniGenerator(norm=True)
        initialise(generator, config.generator_checkpoint, "average")
        _, images, _ = read_images(config)
        written = out / "network.safetensors"
        network = load_network(config.network or (written if written.exists() else None))
        export_generator(generator, network, images, out, config.bank, config.seed)
    log.info("exported to %s", out)


def evaluate_stage(config: DictConfig) -> None:
    """Exported weights on the images of `data`: the figures as JSON, and grid.png in the folder `out`."""
    units, images, _ = read_images(config)
    network, generator = load_network(config.network), load_generator(config.generator)
    metrics = accuracy(network, load_images(config.data, units))
    measured, grid = reconstruction(generator, network, images, encode(network, images.images))
    save_png(grid, Path(config.out) / "grid.png")
    log.info(json.dumps({name: round(value, 4) for name, value in (metrics | measured).items()}))


STAGES = {
    "network": network_stage,
    "generator": generator_stage,
    "export": export_stage,
    "evaluate": evaluate_stage,
}


def read_images(config: DictConfig) -> tuple[tuple[str, ...], ImageSet, ImageSet | None]:
    """The class folder of each unit, the images to train on, and the held-out ones if there are any."""
    units = unit_folders(config.data)
    classes = None if config.classes is None else named_folders(config.classes, units)
    images = load_images(config.data, units, classes)
    if config.more.data:
        more = None if config.more.classes is None else named_folders(config.more.classes, units)
        images = join(images, load_images(config.more.data, units, more, config.more.crops, config.seed))
    log.info("%d images of %d classes", len(images.labels), len(images.labels.unique()))
    return units, images, load_images(config.val, units, classes) if config.val else None


def run(config: DictConfig, training: Training, evaluate: Evaluate | None) -> None:
    """The loop, with the budget and the intervals of the config."""
    train(training, Path(config.out), evaluate=evaluate, say=log.info, **config.loop)


def device(config: DictConfig) -> str:
    """`auto` is cuda where there is one."""
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="mini")
def main(config: DictConfig) -> None:
    """One stage; a user's mistake ends with one message."""
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        STAGES[config.name](config)
    except InvsetError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
