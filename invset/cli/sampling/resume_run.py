"""`resume=FOLDER`: the settings of the run that is there, and what may be changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from pathlib import Path

from invset import __version__
from invset.assemble.methods import method_class, settle
from invset.cli.overrides import key_of
from invset.errors import ConfigError
from invset.run import goal
from invset.run.config import read_config
from invset.run.json_files import read_json
from invset.run.layout import Layout
from invset.settings import SampleSettings, names, value_of

# What may change when a run is resumed: how far it goes, and where and in what portions it is computed.
# Files of weights may have moved: the manifest knows them by their checksums.
NO_SETTINGS = ("resume", "batch_size", "compile", "device", "threads")  # where, and in what portions, it is computed
MAY_DIFFER = (*goal.KEYS, *NO_SETTINGS, "network.weights", "generator.weights", "encoder.weights")
FINAL = ("complete", "incomplete", "unreachable")  # what a run can come to; all others can be resumed


def merge(folder: Path, asked: SampleSettings, given: Sequence[str] | None = None) -> SampleSettings:
    """The settings of the run in a folder, with those of `asked` that may change.

    `given`: the overrides that were typed, all else of `asked` being defaults; None: all of it is meant.

    Raises:
        ConfigError: what is asked for is another run, or the run calls a function that nobody named here.
    """
    saved, asked = read_config(folder), settle(asked)
    keys = None if given is None else {key_of(override) for override in given}
    # A key that is no setting, as an experiment's, brings any of them.
    meant = keys is None or any(key not in names(SampleSettings) and not key.startswith("hydra") for key in keys)
    wanted = [name for name in _leaves() if meant or _is_given(name, keys or set())]
    if different := [name for name in wanted if name not in MAY_DIFFER and _differ(saved, asked, name)]:
        now = "; ".join(f"{name} is {value_of(saved, name)}, not {value_of(asked, name)}" for name in different)
        raise ConfigError(f"{folder} holds a run of other settings: {now}. Leave these out, or choose another folder.")
    merged = deepcopy(saved)
    for name in wanted:
        value = value_of(asked, name)
        if name in MAY_DIFFER and not (keys is None and name.endswith(".weights") and value is None):
            group, _, last = name.rpartition(".")
            setattr(value_of(merged, group) if group else merged, last, value)
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

    It is not finished if samples are missing.
    """
    paths = Layout(folder)
    if not paths.summary.is_file() or read_json(paths.manifest).get("invset") != __version__:
        return None
    summary = read_json(paths.summary)
    status = summary.get("status")
    if status not in FINAL or not goal.is_reached(summary, settings):
        return None
    samples = summary.get("samples") or 0
    files = chain([paths.samples, paths.codes] if samples else [], map(paths.image, range(1, samples + 1)))
    return str(status) if all(file.is_file() for file in files) else None


def _leaves() -> list[str]:
    known = names(SampleSettings)
    return [name for name in known if not any(other.startswith(f"{name}.") for other in known)]


def _is_given(name: str, keys: set[str]) -> bool:
    """Whether a setting, a group it is of, or an entry of it was given."""
    return any(key == name or name.startswith(f"{key}.") or key.startswith(f"{name}.") for key in keys)


def _differ(saved: SampleSettings, asked: SampleSettings, name: str) -> bool:
    if name.startswith("encoder.") and asked.encoder.network in ("auto", "own"):
        return False  # a run's config says what that was
    found = name in ("starts", "range") and value_of(asked, name) == "auto"
    return value_of(saved, name) != value_of(asked, name) and not found


def _require_possible(folder: Path, saved: SampleSettings, merged: SampleSettings) -> None:
    if method_class(saved.method.name).joint and merged.n != saved.n:
        raise ConfigError(
            f"{folder} is a run of method={saved.method.name}, which optimises its n={saved.n} samples together: it "
            f"cannot be extended. Start a new run with n={merged.n}."
        )
    if merged.n < saved.n:
        raise ConfigError(f"{folder} is a run of n={saved.n} samples: n may grow, not shrink to {merged.n}.")
