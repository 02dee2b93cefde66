"""config.yaml: the settings of a run, all of them, for resuming it and for measuring its samples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import yaml

from invset.errors import ConfigError, RunFolderError
from invset.run.json_files import damaged, read_yaml
from invset.run.layout import Layout
from invset.settings import SampleSettings, check, from_dict


def write_config(settings: SampleSettings) -> str:
    """The text of config.yaml."""
    return str(yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True))


def read_config(folder: Path) -> SampleSettings:
    """The settings of the run in a folder. Folders are passed on: these are data, and nothing in them is looked up.

    Raises:
        RunFolderError: the file cannot be read, or holds no settings of a run.
    """
    paths = Layout(folder)
    if not paths.config.exists():
        raise RunFolderError(f"{folder}: there is no run here (no config.yaml); give the folder of one.")
    if paths.images.is_symlink():  # of any folder; images are removed, and written, there
        raise RunFolderError(f"{paths.images}: a link. Put the folder itself there, or start a new run.")
    values = read_yaml(paths.config)
    try:
        settings = from_dict(SampleSettings, values if isinstance(values, dict) else {"config": values})
        check(settings)
    except (ConfigError, ValueError) as error:
        raise damaged(paths.config, f"no settings of a run ({error})") from error
    assert isinstance(settings, SampleSettings)
    return settings
