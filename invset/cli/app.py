"""Runs a command through Hydra, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from invset.cli import schema
from invset.errors import ConfigError, InvsetError

Task = Callable[[DictConfig], int]
"""A command's work on its composed config; returns the exit code."""


def launch(command: str, task: Task, arguments: list[str]) -> int:
    """Compose the config of `command` from Hydra's arguments and do the work, once or for each job of a sweep."""
    schema.register()
    worst = 0

    def guarded(config: DictConfig) -> None:
        nonlocal worst
        try:
            code = task(config)
        except InvsetError as error:
            code = complain(error)
        worst = max(worst, code)

    # Hydra would print a traceback of its own and leave; with this it lets exceptions through.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv = ["invset", *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command)(guarded)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        return complain(ConfigError(_in_words(error, command)))
    return worst


def complain(error: InvsetError) -> int:
    """Print an error; returns the exit code it stands for."""
    print(f"invset: {error}", file=sys.stderr)
    return error.exit_code


def config_folder() -> Path:
    """Where the configs are: in the package as installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def _in_words(error: Exception, command: str) -> str:
    cause = error.__cause__
    text = " ".join(f"{error}".split())
    if unknown := re.match(r"(?:Could not override|Error merging override) '?([^'=\s]+)", text):
        name = unknown[1]
        known = schema.keys(schema.SCHEMAS[command])
        if name not in known:
            last = name.rsplit(".", 1)[-1]
            close = [key for key in known if key.rsplit(".", 1)[-1] == last]
            advice = f"did you mean {' or '.join(close)}?" if close else schema.near_names(name, known)
            return f"there is no setting '{name}': {advice}"
    if group := re.match(
        r"(?:In '[^']*': )?Could not find '([^']+)/([^'/]+)'.*?Available options in '[^']*': (.*?)(?: Config|$)",
        text,
    ):
        return f"{group[1]}={group[2]}: {schema.near_names(group[2], group[3].split())}"
    detail = " ".join(f"{cause}".split("\n")[0].split()) if isinstance(cause, OmegaConfBaseException) else ""
    if "mismatched input" in text or "no viable alternative" in text or "token recognition error" in text:
        text += " (quote values that hold brackets or spaces: 'range=[50,60]')"
    return f"{text} {detail}".strip()
