"""`resume=FOLDER`: the overrides of the run that is there, with the new ones after them."""

from __future__ import annotations

import difflib
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from invset.cli.schema import SampleConfig
from invset.errors import ConfigError, RunFolderError
from invset.run.files import read_json
from invset.run.layout import Layout

# What a run that goes on may change: how far it goes, and where and in what portions it is computed.
# Files of weights may have moved: the manifest knows them by their checksums.
MAY_DIFFER = (
    "n", "resume", "batch_size", "device", "threads", "network.weights", "generator.weights", "encoder.weights"
)  # fmt: skip


def arguments(given: list[str]) -> list[str]:
    """Hydra's arguments for a command line; as given, unless it resumes a run.

    Raises:
        ConfigError: it resumes several runs, or a sweep, or there is no run to go on with.
        RunFolderError: the run's manifest cannot be read.
    """
    folders = [argument.removeprefix("resume=") for argument in given if argument.startswith("resume=")]
    if not folders or folders[-1] in ("", "null"):
        return given
    if len(folders) > 1 or "-m" in given or "--multirun" in given:
        raise ConfigError("resume= goes on with one run: give one folder, and no -m; resume the runs one by one.")
    folder = Path(folders[0])
    paths = Layout(folder)
    if not paths.config.is_file():
        raise ConfigError(
            f"resume={folder}: there is no run here to continue (no config.yaml). Mend the path; "
            "a run that was killed as it began is to be started anew."
        )
    saved = [str(override) for override in read_json(paths.manifest).get("overrides", [])]
    new = {_key(argument) for argument in given if "=" in argument}
    kept = [override for override in saved if _key(override) not in new and _describes(override)]
    for override in kept:
        if _key(override).endswith(".factory"):
            raise ConfigError(
                f"resume={folder}: this run calls a function, {override}. If it is yours, run it by adding "
                f"{override} to the command."
            )
    # Hydra's own output goes nowhere: the folder has what it wrote the first time.
    others = [argument for argument in given if not argument.startswith("resume=")]
    name = quoted(str(folder))
    return [*kept, *others, f"resume={name}", f"hydra.run.dir={name}", "hydra.output_subdir=null"]


def require_same(config: SampleConfig, folder: Path, saved_text: str) -> None:
    """Refuse to go on with a run under another config than its own; n may grow.

    Raises:
        ConfigError: with the differences.
        RunFolderError: the run's config cannot be read.
    """
    values = _loaded(saved_text, folder)
    new, saved = _lines(OmegaConf.structured(config)), _lines(values)
    difference = [
        line
        for line in difflib.unified_diff(saved, new, "the run", "now", n=0, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    if difference:
        raise ConfigError(
            f"{folder} is a run with another config ('-' the run's, '+' yours): {'; '.join(difference)}. "
            "Leave these settings out, or start a new run."
        )
    before = values.get("n", 0)
    if config.method.name == "full" and config.n != before:
        raise ConfigError(
            f"{folder} is a run of method=full, which optimises its n={before} samples together: it cannot be "
            f"extended. Start a new run with n={config.n}."
        )
    if config.n < before:
        raise ConfigError(f"{folder} is a run of n={before} samples: n may grow, not shrink to {config.n}.")


def _loaded(text: str, folder: Path) -> DictConfig:
    try:
        values = OmegaConf.create(text)
    except (YAMLError, OmegaConfBaseException) as error:
        raise RunFolderError(f"{folder}/config.yaml: not YAML ({' '.join(f'{error}'.split())}). Mend it.") from error
    if not isinstance(values, DictConfig):
        raise RunFolderError(f"{folder}/config.yaml: holds no settings. Put it back as the run left it.")
    return values


def _lines(config: object) -> list[str]:
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    found: list[str] = []

    def walk(node: dict, prefix: str) -> None:
        for key in sorted(node, key=str):
            value, name = node[key], f"{prefix}{key}"
            if isinstance(value, dict) and value:
                walk(value, f"{name}.")
            elif name not in MAY_DIFFER:
                found.append(f"{name}={value}")

    walk(values, "")
    return found


def _describes(override: str) -> bool:
    """Whether a saved override is a setting of ours. Folders of runs are passed on: nothing else in one is obeyed."""
    return not override.startswith("-") and not _key(override).startswith("hydra")


def _key(override: str) -> str:
    return override.split("=", 1)[0].lstrip("+~")


def quoted(text: str) -> str:
    """A text as Hydra's grammar takes any."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
