"""config.yaml: the settings of a run, all of them, for resuming it and for measuring its samples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import yaml

from invset.errors import ConfigError, RunFolderError
from invset.run.layout import Layout
from invset.settings import SampleSettings, check, from_dict

LONGEST = 2**20  # bytes; one has about 2000


def write_config(settings: SampleSettings) -> str:
    """The text of config.yaml."""
    return str(yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True))


def read_config(folder: Path) -> SampleSettings:
    """The settings of the run in a folder. Folders are passed on: these are data, and nothing in them is looked up.

    Raises:
        RunFolderError: the file cannot be read, or holds no settings of a run.
    """
    path = Layout(folder).config
    try:
        with path.open("rb") as file:
            values = yaml.safe_load(file.read(LONGEST))
        settings = from_dict(SampleSettings, values if isinstance(values, dict) else {"config": values})
        check(settings)
    except FileNotFoundError as error:
        raise RunFolderError(f"{folder}: there is no run here (no config.yaml); give the folder of one.") from error
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). Put it back as the run left it.") from error
    except (yaml.YAMLError, ConfigError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = " ".join(f"{error}".split("\n")[0].split())
        raise RunFolderError(f"{path}: damaged: no settings of a run ({reason}). Put it back as it was.") from error
    assert isinstance(settings, SampleSettings)
    return settings
