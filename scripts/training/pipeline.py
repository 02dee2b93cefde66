"""Every stage in turn: a folder of images in, weights to sample with out."""

import logging
import re
import shutil
from pathlib import Path

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset.errors import ConfigError
from invset.models.labels import class_folders
from invset.models.registry import build_network
from training.data import unit_folders
from training.stages import STAGES, build_judges, build_labeller

log = logging.getLogger("train_mini")


def run_all(config: DictConfig) -> None:
    """Every stage in a folder of its own under `out`; the weights end in model/.

    Raises:
        ConfigError: a stage's settings are wrong, or its networks do not fit the images; said before the first begins.
    """
    out = Path(config.out)
    network, model = out / "network", out / "model"
    exported, made = f"network={model}/network.safetensors", f"generator={model}/generator.safetensors"
    checkpoint = f"generator_checkpoint={out}/generator/checkpoint.pt"
    units = unit_folders(config.data)
    names = [] if units == class_folders() else [f"names={model}/classes.txt"]
    left_out = {stage for stage, own in config.steps.items() if own is None}
    table = [] if "label" in left_out else [f"teacher={out}/label/teacher.npz"]
    if config.val is None:
        left_out.add("evaluate")
    elif unit_folders(config.val) != units:
        raise ConfigError(f"{config.val}: val needs the class folders of {config.data}, all of them and no others.")
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
    composed = [
        (stage, compose_stage(config, stage, [*settings, f"out={out / folder}"]))
        for stage, folder, settings in steps
        if stage not in left_out
    ]
    require_networks(dict(composed), len(units))
    for stage, own in composed:
        log.info("stage=%s, in %s", stage, own.out)
        if STAGES[stage](own) is False:
            log.info("stage=%s is not done yet; the same command goes on with it", stage)
            return
        if stage == "distil":
            shutil.copyfile(out / "distil" / "network.safetensors", model / "network.safetensors")


def compose_stage(config: DictConfig, stage: str, settings: list[str]) -> DictConfig:
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


def require_networks(stages: dict[str, DictConfig], units: int) -> None:
    """Raises ConfigError where a stage's other networks cannot be had or do not fit: else they would after hours."""
    for stage in ("distil", "label"):
        if stage in stages:
            build_labeller(stages[stage], units)
    if "generator" in stages and stages["generator"].critic.name:
        build_network(stages["generator"].critic.name, **stages["generator"].critic.options)
    if "judge" in stages:
        build_judges(stages["judge"], units)
