"""`resume=FOLDER`: the settings of the run that is there, and what may be changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from invset import __version__
from invset.cli.overrides import key_of
from invset.errors import ConfigError
from invset.run import goal
from invset.run.config import read_config
from invset.run.files import read_json
from invset.run.layout import Layout
from invset.settings import SampleSettings, names, value_of

# What a run that goes on may change: how far it goes, and where and in what portions it is computed.
# Files of weights may have moved: the manifest knows them by their checksums.
MAY_DIFFER = (
    *goal.KEYS, "resume", "batch_size", "compile", "device", "threads",
    "network.weights", "generator.weights", "encoder.weights",
)  # fmt: skip
NO_SETTINGS = ("resume", "batch_size", "compile", "device", "threads")  # where, and in what portions, it is computed
RESULTS = ("complete", "incomplete", "unreachable")  # what a run can come to; all else can be gone on with


def settle(settings: SampleSettings) -> SampleSettings:
    """The settings with all of the method's own written out, as a run's config has them.

    Raises:
        ConfigError: there is no such method, or it does not take such settings.
    """
    from invset.assemble.methods import own_settings

    own = own_settings(settings)
    method = replace(settings.method, options={} if own is None else asdict(own))
    return replace(settings, method=method)


def merge(folder: Path, asked: SampleSettings, given: Sequence[str] | None = None) -> SampleSettings:
    """The settings of the run in a folder, with those of `asked` that may change.

    `given`: the overrides that were typed, all else of `asked` being defaults; None: all of it is meant.

    Raises:
        ConfigError: what is asked for is another run, or the run calls a function that nobody named here.
        RunFolderError: its config cannot be read.
    """
    saved, asked = read_config(folder), settle(asked)
    keys = None if given is None else {key_of(override) for override in given}
    meant = keys is None or any(key not in names(SampleSettings) and not key.startswith("hydra") for key in keys)
    wanted = [name for name in _leaves() if meant or _is_given(name, keys or set())]
    if different := [name for name in wanted if name not in MAY_DIFFER and _differ(saved, asked, name)]:
        now = "; ".join(f"{name} is {value_of(saved, name)}, not {value_of(asked, name)}" for name in different)
        raise ConfigError(f"{folder} holds a run of other settings: {now}. Leave these out, or choose another folder.")
    merged = deepcopy(saved)
    for name in MAY_DIFFER:
        if name in wanted and not (keys is None and name.endswith(".weights") and value_of(asked, name) is None):
            _set(merged, name, value_of(asked, name))
    for part in ("network", "generator", "encoder"):
        function = getattr(saved, part).factory
        if function is not None and not (keys is None or f"{part}.factory" in keys):
            raise ConfigError(
                f"resume={folder}: this run calls a function, {part}.factory={function}. If it is yours, run it by "
                f"adding {part}.factory={function} to the command."
            )
    _require_possible(folder, saved, merged)
    return replace(merged, resume=str(folder))


def finished_status(folder: Path, settings: SampleSettings) -> str | None:
    """What the run in a folder came to, if this version of invset finished it as far as settings ask; else None.

    Raises:
        RunFolderError: a file of the run cannot be read.
    """
    paths = Layout(folder)
    if not paths.summary.is_file() or read_json(paths.manifest).get("invset") != __version__:
        return None
    summary = read_json(paths.summary)
    status = summary.get("status")
    return str(status) if status in RESULTS and goal.is_reached(summary, settings) else None


def _leaves() -> list[str]:
    known = names(SampleSettings)
    return [name for name in known if not any(other.startswith(f"{name}.") for other in known)]


def _is_given(name: str, keys: set[str]) -> bool:
    """Whether a setting, a group it is of, or an entry of it was given."""
    return any(key == name or name.startswith(f"{key}.") or key.startswith(f"{name}.") for key in keys)


def _differ(saved: SampleSettings, asked: SampleSettings, name: str) -> bool:
    before, now = value_of(saved, name), value_of(asked, name)
    if name.startswith("encoder.") and asked.encoder.network in ("auto", "own"):
        return False  # a run's config says what that was
    return not (name == "starts" and now == "auto") and _plain(before) != _plain(now)


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _set(settings: Any, name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        settings = getattr(settings, part)
    setattr(settings, last, value)


def _require_possible(folder: Path, saved: SampleSettings, merged: SampleSettings) -> None:
    from invset.assemble.methods import method_class

    if method_class(saved.method.name).together and merged.n != saved.n:
        raise ConfigError(
            f"{folder} is a run of method={saved.method.name}, which optimises its n={saved.n} samples together: it "
            f"cannot be extended. Start a new run with n={merged.n}."
        )
    if merged.n < saved.n:
        raise ConfigError(f"{folder} is a run of n={saved.n} samples: n may grow, not shrink to {merged.n}.")


def find_run(folder: Path) -> Path:
    """The folder, if there is a run in it to go on with.

    Raises:
        ConfigError: there is none.
    """
    if Layout(folder).config.is_file():
        return folder
    if folder.is_dir() and any(folder.glob("[!.]*/config.yaml")):
        raise ConfigError(
            f"resume={folder}: there are runs in this folder, but no record of their sweep (multirun.yaml). Give "
            f"the sweep's own command again, with hydra.sweep.dir={folder}, or go on with the runs one by one."
        )
    raise ConfigError(
        f"resume={folder}: there is no run here to continue (no config.yaml). Mend the path; "
        "a run that was killed as it began is to be started anew."
    )
