"""Train the built-in model: `python scripts/train_mini.py stage=all data=FOLDER`, or a stage at a time.

The stages are label, network, generator, distil, export, evaluate and judge; their settings are in configs/train. A run
that is stopped, even by kill -9, goes on when started again: exactly, on a CPU with as many threads.
"""

import json
import logging
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import hydra
import torch
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset.errors import ConfigError, InvsetError
from invset.models.labels import class_folders
from invset.models.mini import Dimensions, load_code_statistics, load_generator, load_network
from invset.models.network import Generator, Network
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit
from invset.training.checkpoint import require_pair
from invset.training.compute import chosen_device, compiles, place, speed
from invset.training.critic import Critic
from invset.training.data import ImageSet, join, load_images, named_folders, require_size, scaled, unit_folders
from invset.training.distil import DistilSettings, DistilTraining
from invset.training.evaluate import accuracy, encode, grid_of, reconstruction
from invset.training.export import export_generator, export_network, trained_generator, trained_network, write
from invset.training.generator import GeneratorSettings, GeneratorTraining
from invset.training.judge import JudgeSettings, means, sampled, verdict
from invset.training.loop import Evaluate, Training, save_png, train
from invset.training.network import NetworkSettings, NetworkTraining, Teacher, write_table

log = logging.getLogger("train_mini")


def label_stage(config: DictConfig) -> None:
    """A teacher's largest logits of each image of `data`, once: teacher.npz in the folder `out`."""
    path = Path(config.out) / "teacher.npz"
    if path.exists():
        log.info("%s is there already", path)
        return
    units = unit_folders(config.data)
    labeller = labeller_of(config, len(units))
    labeller.to(chosen_device(config.device))
    write_table(labeller, load_images(config.data, units, size=config.size), path, config.top)
    log.info("wrote %s", path)


def network_stage(config: DictConfig) -> bool:
    """Labels -> the network: checkpoint.pt in the folder `out`."""
    where, dimensions = chosen_device(config.device), Dimensions(config.size, config.width, config.code)
    compile = compiles(config.compile, where)
    units, images, held_out = read_images(config)
    teacher = Teacher(config.teacher, images.names) if config.teacher else None
    images = images._replace(images=place(images.images, config.data_device, where))
    settings = NetworkSettings(**config.settings)
    training = NetworkTraining(images, len(units), settings, config.seed, where, teacher, dimensions, compile)
    if config.init:
        training.start_from(config.init)
    return run(config, training, (lambda: (training.evaluate(held_out), None)) if held_out else None)


def generator_stage(config: DictConfig) -> bool:
    """The network's fc6 -> the generator: checkpoint.pt in the folder `out`."""
    where = chosen_device(config.device)
    compile = compiles(config.compile, where)
    network = load_network(config.network).to(where)
    require_size(config.size, network)
    units, images, held_out = read_images(config)
    images = images._replace(images=place(images.images, config.data_device, where))
    settings = GeneratorSettings(**config.settings)
    if settings.raise_up_to and network.fc8.out_features != len(units):
        found = f"the network has {network.fc8.out_features} units, and the folder {len(units)} classes"
        hint = "Train a network on them (stage=network), or take settings.raise_up_to=0."
        raise ConfigError(f"{config.data}: {found}. {hint}")
    critic = critic_of(config, images, where) if config.critic.name else None
    training = GeneratorTraining(network, images, settings, config.seed, where, config.width, compile, critic)
    if config.init:
        training.start_from(config.init)
    if held_out is None:
        return run(config, training, None)
    codes = encode(network, held_out.images)
    return run(config, training, lambda: training.evaluate(held_out, codes))


def distil_stage(config: DictConfig) -> bool:
    """The teacher's answers to what units ask the generator for -> the network: checkpoint.pt in the folder `out`."""
    where = chosen_device(config.device)
    network, generator = load_network(config.network), load_generator(config.generator)
    require_size(config.size, network)
    require_pair(network, generator)
    units = unit_folders(config.data)
    labeller = labeller_of(config, len(units))
    if network.fc8.out_features != len(units):
        found = f"the network has {network.fc8.out_features} units, and the folder {len(units)} classes"
        raise ConfigError(f"{config.data}: {found}. Train a network on them (stage=network).")
    images = load_images(config.data, units, size=config.size)  # of all classes, lest it forget some
    held_out = load_images(config.val, units, size=config.size) if config.val else None
    table = Teacher(config.teacher, images.names) if config.teacher else None
    images = images._replace(images=place(images.images, config.data_device, where))
    statistics = load_code_statistics(config.generator)
    settings = DistilSettings(**config.settings)
    names = [*(config.classes or ()), *(config.more.classes or ())]
    climbed = torch.tensor([units.index(folder) for folder in named_folders(names, units)]) if names else None
    training = DistilTraining(
        network, generator, statistics, labeller, images, table, settings, config.seed, where, climbed
    )
    done = run(config, training, (lambda: (training.evaluate(held_out), None)) if held_out else None)
    write(training.network.state_dict(), config.size, Path(config.out) / "network.safetensors")
    return done


def export_stage(config: DictConfig) -> None:
    """Checkpoints -> network.safetensors and generator.safetensors, as `invset.models.mini` loads them."""
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


def evaluate_stage(config: DictConfig) -> None:
    """Exported weights on the images of `data`: the figures as JSON, and grid.png in the folder `out`."""
    network, generator = load_network(config.network), load_generator(config.generator)
    require_size(config.size, network)
    require_pair(network, generator)
    units, images, _ = read_images(config)
    metrics = accuracy(network, load_images(config.data, units, size=config.size))
    measured, grid = reconstruction(generator, network, images, encode(network, images.images))
    save_png(grid, Path(config.out) / "grid.png")
    log.info(json.dumps({name: round(value, 4) for name, value in (metrics | measured).items()}))


def judge_stage(config: DictConfig) -> None:
    """Samples of each unit, and how often the judges see its class: judge.json and samples.png in the folder `out`."""
    where = chosen_device(config.device)
    network = build_network("mini", weights=config.network, labels=config.names)
    generator = build_generator("mini", weights=config.generator)
    judges = judges_of(config, network.units("fc8"))
    rows = judged_rows(config, network)
    models: list[Network | Generator] = [network, generator, *judges.values()]
    for model in models:
        model.to(where)
    out, lines, verdicts = Path(config.out), [], {}
    names = {row: name for name, row in rows.items()}
    for samples in sampled(network, generator, "fc8", list(names), JudgeSettings(**config.settings), config.seed):
        name = names[samples.row]
        verdicts[name] = verdict(samples, judges)
        lines.append(scaled(samples.images[:: max(1, len(samples.images) // 12)][:12]))
        top5 = ", ".join(f"{judge} {shares[1]:.0%}" for judge, shares in verdicts[name].seen.items())
        log.info("%s in [%.4g, %.4g]: %d samples; in the top 5 of %s", name, *verdicts[name][:3], top5)
    out.mkdir(parents=True, exist_ok=True)
    if any(map(len, lines)):
        save_png(grid_of([line for line in lines if len(line)]), out / "samples.png")
    summary = {name: dict(zip(("top1", "top5"), means(verdicts.values(), name), strict=True)) for name in judges}
    units = {name: given._asdict() for name, given in verdicts.items()}
    (out / "judge.json").write_text(json.dumps({"means": summary, "units": units}, indent=1), encoding="utf-8")
    for judge, shares in summary.items():
        log.info(
            "%s, mean of %d units: top 1 %.1f%%, top 5 %.1f%%", judge, len(rows), *(100 * x for x in shares.values())
        )


def all_stage(config: DictConfig) -> None:
    """Every stage in turn, each in a folder of its own under `out`; the weights end in model/."""
    out = Path(config.out)
    network, model = out / "network", out / "model"
    exported, made = f"network={model}/network.safetensors", f"generator={model}/generator.safetensors"
    checkpoint = f"generator_checkpoint={out}/generator/checkpoint.pt"
    units = unit_folders(config.data)
    names = [] if units == class_folders() else [f"names={model}/classes.txt"]
    left_out = {stage for stage, own in config.steps.items() if own is None}
    table = [] if "label" in left_out else [f"teacher={out}/label/teacher.npz"]
    steps = [
        ("label", "label", []),
        ("network", "network", table),
        ("export", "model", [f"network_checkpoint={network}/checkpoint.pt"]),
        ("generator", "generator", [exported]),
        ("export", "model", [exported, checkpoint]),
        ("distil", "distil", [exported, made, *table]),
        ("export", "model", [exported, checkpoint]),
        ("evaluate", "evaluate", [f"data={config.val}", "more.data=null", exported, made]),
        ("judge", "judge", [exported, made, *names]),
    ]
    if config.val is None:
        left_out.add("evaluate")
    elif unit_folders(config.val) != units:
        raise ConfigError(f"{config.val}: val needs the class folders of {config.data}, all of them and no others.")
    composed = [
        (stage, stage_config(config, stage, [*settings, f"out={out / folder}"]))
        for stage, folder, settings in steps
        if stage not in left_out
    ]
    of = dict(composed)
    if "distil" in of:  # mistakes that would else show after hours
        labeller_of(of["distil"], len(units))
    if "label" in of:
        labeller_of(of["label"], len(units))
    if "generator" in of and of["generator"].critic.name:
        build_network(of["generator"].critic.name, **of["generator"].critic.options)
    if "judge" in of:
        judges_of(of["judge"], len(units))
    for stage, own in composed:
        log.info("stage=%s, in %s", stage, own.out)
        if STAGES[stage](own) is False:
            log.info("stage=%s is not done yet; the same command goes on with it", stage)
            return
        if stage == "distil":
            shutil.copyfile(out / "distil" / "network.safetensors", model / "network.safetensors")


def stage_config(config: DictConfig, stage: str, settings: list[str]) -> DictConfig:
    """What a stage alone would take: what was given to stage=all, what `steps` says of the stage, and `settings`."""
    task = HydraConfig.get().overrides.task
    given = [text for text in task if re.split(r"[.=@]", text.lstrip("+~"))[0] not in ("stage", "out", "steps")]
    own = compose("mini", [f"stage={stage}", *given, *settings])
    for key, value in (config.steps.get(stage) or {}).items():
        try:
            OmegaConf.update(own, key, value)
        except OmegaConfBaseException as error:
            raise ConfigError(f"steps.{stage}: stage={stage} has no setting {key}, or it is no {value!r}.") from error
    return own


STAGES: dict[str, Callable[[DictConfig], bool | None]] = {
    "label": label_stage,
    "network": network_stage,
    "generator": generator_stage,
    "distil": distil_stage,
    "export": export_stage,
    "evaluate": evaluate_stage,
    "judge": judge_stage,
    "all": all_stage,
}


def labeller_of(config: DictConfig, units: int) -> Network:
    """The teacher of stages label and distil. Raises ConfigError where it has not so many units."""
    labeller = build_network(config.labeller.name, **config.labeller.options)
    if labeller.units("fc8") != units:
        found = f"{labeller.name} has {labeller.units('fc8')}, the folder {units} classes"
        hint = "Take another, or leave the stages out (of stage=all by steps.label=null steps.distil=null)."
        raise ConfigError(f"labeller: needs the units of the network and the classes of the folder. {found}. {hint}")
    return labeller


def judges_of(config: DictConfig, units: int) -> dict[str, Network]:
    """The judges of stage=judge. Raises ConfigError where there are none, or one has not so many units."""
    judges = {name: build_network(name, **(options or {})) for name, options in (config.judges or {}).items()}
    if not judges:
        raise ConfigError("judges: there are none. Name one, such as judges={efficientnet_lite2: {size: 160}}.")
    for name, judge in judges.items():
        if judge.units("fc8") != units:
            found = f"{name} has {judge.units('fc8')} units, the network {units}"
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
        if len(folders) != network.units("fc8"):
            found = f"the network has {network.units('fc8')} units, and the folder {len(folders)} classes"
            raise ConfigError(f"{config.data}: {found}. Take the folder it was trained on, or name units.")
        own = {entry.name for entry in Path(config.data).iterdir() if entry.is_dir()}
        wanted = own if config.classes is None else named_folders(config.classes, folders)
        rows = [row for row, folder in enumerate(folders) if folder in wanted]
        labels = labels or folders
    if not rows:
        raise ConfigError("units: there are none to judge. Name some, or give data= with a folder for each class.")
    number = {row: str(row + 1) for row in rows}
    names = {row: labels[row] if labels else number[row] for row in rows}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]  # ImageNet has two cranes
    return {f"{name} {number[row]}" if name in twice else name: row for row, name in names.items()}


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


def critic_of(config: DictConfig, images: ImageSet, where: str) -> Critic:
    """The network whose maps the config names, on some of the images."""
    network = build_network(config.critic.name, **config.critic.options)
    network.to(where)
    some = images.images[:: max(1, len(images.images) // 256)]
    return Critic(network, config.critic.layers, scaled(some.to(where)))


def run(config: DictConfig, training: Training, evaluate: Evaluate | None) -> bool:
    """The loop, with the budget and the intervals of the config; whether the budget is spent."""
    with speed(chosen_device(config.device)):
        train(training, Path(config.out), evaluate=evaluate, say=log.info, **config.loop)
    return training.done


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
    except (OmegaConfBaseException, HydraException) as error:  # such as no data=
        log.error("%s", str(error).partition("\n")[0])
        sys.exit(ConfigError.exit_code)


if __name__ == "__main__":
    main()
