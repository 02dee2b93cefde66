"""The stages of a training: from what a config says to the files in its folder `out`."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig

from invset.errors import ConfigError
from invset.models.mini import Dimensions, load_code_statistics, load_generator, load_network
from invset.models.network import Network
from invset.models.registry import build_network
from invset.models.unit import parse_unit
from training.checkpoint import require_pair
from training.compute import allow_speed, choose_device, place, should_compile
from training.critic import Critic
from training.data import ImageSet, join, load_images, named_folders, require_size, to_float, unit_folders
from training.distil import DistilSettings, DistilTraining
from training.evaluate import accuracy, encode, grid_of, reconstruction
from training.export import export_generator, export_network, trained_generator, trained_network, write_network
from training.generator import GeneratorSettings, GeneratorTraining
from training.judge import JudgeSettings, judge, mean_shares, sample_units
from training.loop import Evaluate, Training, save_png, train
from training.network import NetworkSettings, NetworkTraining, Teacher, write_table

log = logging.getLogger("train_mini")


def run_label(config: DictConfig) -> None:
    """A teacher's largest logits of each image of `data`, once: teacher.npz."""
    path = Path(config.out) / "teacher.npz"
    if path.exists():
        log.info("%s is there already", path)
        return
    units = unit_folders(config.data)
    labeller = build_labeller(config, len(units))
    labeller.to(choose_device(config.device))
    write_table(labeller, load_images(config.data, units, size=config.size), path, config.top)
    log.info("wrote %s", path)


def run_network(config: DictConfig) -> bool:
    """Labels -> the network: checkpoint.pt. Returns whether the budget is spent."""
    device, dimensions = choose_device(config.device), Dimensions(config.size, config.width, config.code)
    compile = should_compile(config.compile, device)
    units, images, held_out = read_images(config)
    teacher = Teacher(config.teacher, images.names) if config.teacher else None
    images = images._replace(images=place(images.images, config.data_device, device))
    settings = NetworkSettings(**config.settings)
    training = NetworkTraining(images, len(units), settings, config.seed, device, teacher, dimensions, compile)
    if config.init:
        training.start_from(config.init)
    return run(config, training, (lambda: (training.evaluate(held_out), None)) if held_out else None)


def run_generator(config: DictConfig) -> bool:
    """The network's fc6 -> the generator: checkpoint.pt. Returns whether the budget is spent."""
    device = choose_device(config.device)
    compile = should_compile(config.compile, device)
    network = load_network(config.network).to(device)
    require_size(config.size, network)
    units, images, held_out = read_images(config)
    images = images._replace(images=place(images.images, config.data_device, device))
    settings = GeneratorSettings(**config.settings)
    if settings.raise_up_to:
        require_units(
            network.fc8.out_features, units, config.data, "Train a network on them, or take settings.raise_up_to=0."
        )
    critic = build_critic(config, images, device) if config.critic.name else None
    training = GeneratorTraining(network, images, settings, config.seed, device, config.width, compile, critic)
    if config.init:
        training.start_from(config.init)
    if held_out is None:
        return run(config, training, None)
    codes = encode(network, held_out.images)
    return run(config, training, lambda: training.evaluate(held_out, codes))


def run_distil(config: DictConfig) -> bool:
    """The teacher's answers to what units ask the generator for -> the network: checkpoint.pt, network.safetensors.

    Returns whether the budget is spent.
    """
    device = choose_device(config.device)
    network, generator = load_network(config.network), load_generator(config.generator)
    require_size(config.size, network)
    require_pair(network, generator)
    units = unit_folders(config.data)
    labeller = build_labeller(config, len(units))
    require_units(network.fc8.out_features, units, config.data, "Train a network on them (stage=network).")
    images = load_images(config.data, units, size=config.size)  # of all classes, lest it forget some
    held_out = load_images(config.val, units, size=config.size) if config.val else None
    table = Teacher(config.teacher, images.names) if config.teacher else None
    images = images._replace(images=place(images.images, config.data_device, device))
    statistics = load_code_statistics(config.generator)
    settings = DistilSettings(**config.settings)
    names = [*(config.classes or ()), *(config.more.classes or ())]
    climbed = torch.tensor([units.index(folder) for folder in named_folders(names, units)]) if names else None
    training = DistilTraining(
        network, generator, statistics, labeller, images, table, settings, config.seed, device, climbed
    )
    done = run(config, training, (lambda: (training.evaluate(held_out), None)) if held_out else None)
    write_network(training.network, Path(config.out) / "network.safetensors")
    return done


def run_export(config: DictConfig) -> None:
    """Checkpoints -> network.safetensors, generator.safetensors and codes.safetensors, for `invset.models.mini`."""
    units = unit_folders(config.data)
    out = Path(config.out)
    if config.network_checkpoint:
        export_network(trained_network(config.network_checkpoint, len(units)), units, out)
    if config.generator_checkpoint:
        generator = trained_generator(config.generator_checkpoint)
        written = out / "network.safetensors"
        network = load_network(config.network or (written if written.exists() else None))
        require_size(config.size, network)
        _, images, _ = read_images(config)
        export_generator(generator, network, images, out, config.bank, config.seed)
    log.info("exported to %s", out)


def run_evaluate(config: DictConfig) -> None:
    """Exported weights on the images of `data`: the figures as JSON, and grid.png."""
    network, generator = load_network(config.network), load_generator(config.generator)
    require_size(config.size, network)
    require_pair(network, generator)
    units, images, _ = read_images(config)
    metrics = accuracy(network, load_images(config.data, units, size=config.size))
    measured, grid = reconstruction(generator, network, images, encode(network, images.images))
    save_png(grid, Path(config.out) / "grid.png")
    log.info(json.dumps({name: round(value, 4) for name, value in (metrics | measured).items()}))


def run_judge(config: DictConfig) -> None:
    """Samples of each unit, and how often the judges see its class: judge.json and samples.png."""
    network = build_network("mini", weights=config.network, labels=config.names)
    judges = build_judges(config, network.units("fc8"))
    rows = judged_rows(config, network)
    for each in judges.values():
        each.to(choose_device(config.device))
    models = {
        "network": {"kind": "mini", "weights": config.network, "labels": config.names},
        "generator": {"kind": "mini", "weights": config.generator},
        "device": config.device,
    }
    out, lines, verdicts = Path(config.out), [], {}
    names = {row: name for name, row in rows.items()}
    for samples in sample_units(models, list(names), JudgeSettings(**config.settings), config.seed):
        name = names[samples.row]
        verdicts[name] = judge(samples, judges)
        lines.append(to_float(samples.images[:: max(1, len(samples.images) // 12)][:12]))
        shares = ", ".join(f"{judge} {top5:.0%}" for judge, (_, top5) in verdicts[name].seen.items())
        log.info("%s in [%.4g, %.4g]: %d samples; in the top 5 of %s", name, *verdicts[name][:3], shares)
    out.mkdir(parents=True, exist_ok=True)
    if any(map(len, lines)):
        save_png(grid_of([line for line in lines if len(line)]), out / "samples.png")
    means = {}
    for name in judges:
        top1, top5 = mean_shares(verdicts.values(), name)
        means[name] = {"top1": top1, "top5": top5}
        log.info("%s, mean of %d units: top 1 %.1f%%, top 5 %.1f%%", name, len(rows), 100 * top1, 100 * top5)
    units = {name: verdict._asdict() for name, verdict in verdicts.items()}
    (out / "judge.json").write_text(json.dumps({"means": means, "units": units}, indent=1), encoding="utf-8")


STAGES: dict[str, Callable[[DictConfig], bool | None]] = {
    "label": run_label,
    "network": run_network,
    "generator": run_generator,
    "distil": run_distil,
    "export": run_export,
    "evaluate": run_evaluate,
    "judge": run_judge,
}


def run(config: DictConfig, training: Training, evaluate: Evaluate | None) -> bool:
    """The loop, with the budget and the intervals of the config; whether the budget is spent."""
    with allow_speed(choose_device(config.device)):
        train(training, Path(config.out), evaluate=evaluate, say=log.info, **config.loop)
    return training.done


def read_images(config: DictConfig) -> tuple[tuple[str, ...], ImageSet, ImageSet | None]:
    """The class folder of each unit, the images to train on, and the held-out ones if there are any."""
    units = unit_folders(config.data)
    classes = None if config.classes is None else named_folders(config.classes, units)
    images = load_images(config.data, units, classes, size=config.size)
    if config.more.data:
        more = None if config.more.classes is None else named_folders(config.more.classes, units)
        images = join(images, load_images(config.more.data, units, more, config.more.crops, config.seed, config.size))
    log.info("%d images of %d classes", len(images.labels), len(images.labels.unique()))
    held_out = load_images(config.val, units, classes, size=config.size) if config.val else None
    return units, images, held_out


def build_critic(config: DictConfig, images: ImageSet, device: str) -> Critic:
    """The network whose maps the config names, on some of the images."""
    network = build_network(config.critic.name, **config.critic.options)
    network.to(device)
    some = images.images[:: max(1, len(images.images) // 256)]
    return Critic(network, config.critic.layers, to_float(some.to(device)))


def build_labeller(config: DictConfig, units: int) -> Network:
    """The teacher of stages label and distil. Raises ConfigError where it has not so many units."""
    labeller = build_network(config.labeller.name, **config.labeller.options)
    if labeller.units("fc8") != units:
        found = f"{labeller.name} has {labeller.units('fc8')}, the folder {units} classes"
        hint = "Take another, or leave the stages out (of stage=all by steps.label=null steps.distil=null)."
        raise ConfigError(f"labeller: needs the units of the network and the classes of the folder. {found}. {hint}")
    return labeller


def build_judges(config: DictConfig, units: int) -> dict[str, Network]:
    """The judges of stage=judge. Raises ConfigError where there are none, or one has not so many units."""
    judges = {name: build_network(name, **(options or {})) for name, options in (config.judges or {}).items()}
    if not judges:
        raise ConfigError("judges: there are none. Name one, such as judges={efficientnet_lite2: {size: 160}}.")
    for name, network in judges.items():
        if network.units("fc8") != units:
            found = f"{name} has {network.units('fc8')} units, the network {units}"
            hint = "Take it out (~judges.NAME), or leave the stage out (of stage=all by steps.judge=null)."
            raise ConfigError(f"judges: {found}, so that it cannot know their classes. {hint}")
    return judges


def judged_rows(config: DictConfig, network: Network) -> dict[str, int]:
    """Name -> row of fc8 of the config's units or, where it names none, of its classes or all that have a folder."""
    labels = network.labels.get("fc8", ())
    if config.units:
        rows = [parse_unit(f"fc8:{name}", network).index for name in config.units]
    else:
        folders = unit_folders(config.data)
        require_units(network.units("fc8"), folders, config.data, "Take the folder it was trained on, or name units.")
        own = {entry.name for entry in Path(config.data).iterdir() if entry.is_dir()}
        wanted = own if config.classes is None else named_folders(config.classes, folders)
        rows = [row for row, folder in enumerate(folders) if folder in wanted]
        labels = labels or folders
    if not rows:
        raise ConfigError("units: there are none to judge. Name some, or give data= with a folder for each class.")
    names = {row: labels[row] if labels else str(row + 1) for row in rows}
    count = Counter(names.values())  # ImageNet has two cranes
    return {f"{name} {row + 1}" if count[name] > 1 else name: row for row, name in names.items()}


def require_units(found: int, folders: tuple[str, ...], data: str, hint: str) -> None:
    """Raises ConfigError, ending in `hint`, where a network has not as many units as there are class folders."""
    if found != len(folders):
        raise ConfigError(f"{data}: the network has {found} units, and the folder {len(folders)} classes. {hint}")
