"""Hydra's overrides as texts: what one sets, and how a text is written in one."""

from __future__ import annotations

import re
import shlex

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from invset.settings import SampleSettings, names

MODELS = {"network": "mini", "generator": "mini", "encoder": "auto"}  # groups of configs, and their defaults
OF_MODELS = ("network.", "generator.", "encoder.", "code.", "position=", "starts=", "precision=", "channels_last=")
OPTIONS = ("network.options.", "generator.options.", "encoder.options.", "method.options.")  # of builders


def key_of(override: str) -> str:
    """What an override sets."""
    return override.split("=", 1)[0].lstrip("+~")


def plain_value(override: str) -> str:
    """To what, as Hydra understands it, in one way of writing it; a sweep over values as it was given."""
    text = override.partition("=")[2]
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return text
    return text if parsed.is_sweep_override() else _write(parsed.value())


def quote(text: str) -> str:
    """A text as Hydra's grammar takes any: a backslash is one, but before a quote and at the end it takes two."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text) + "'"


def is_plain(override: str) -> bool:
    """Whether an override sets a value as written, or chooses among the configs that are in their places by name."""
    key = key_of(override)
    if "${" in override:  # looked up elsewhere, as in the environment
        return False
    if not re.fullmatch(r"[A-Za-z_][\w.]*", key):  # group@package puts a config where it does not belong
        return False
    known = names(SampleSettings)
    if "." in key or (key in known and not any(name.startswith(f"{key}.") for name in known)):
        return True
    choice = override.partition("=")[2]
    return bool(re.fullmatch(r"[\w.,/-]*", choice)) and not re.search(r"\.\.|(^|,)/", choice)


def normalise(argument: str) -> str:
    """An argument as Hydra takes it: experiments without their plus, options of builders with two."""
    if argument.startswith("+experiment="):
        return argument.removeprefix("+")
    return f"++{argument.lstrip('+')}" if argument.lstrip("+").startswith(OPTIONS) else argument


def job_overrides() -> list[str]:
    """The overrides of the run that Hydra is at, as they were given."""
    values = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(values, list)
    return [str(value) for value in values]


def chosen_models() -> str:
    """The overrides that a command to be pasted needs for the same models, each behind a space; '' for the defaults."""
    hydra = HydraConfig.get()
    choices = {group: hydra.runtime.choices[group] for group in MODELS}
    names = [f"{group}={choice}" for group, choice in choices.items() if choice != MODELS[group]]
    options = [override.lstrip("+") for override in hydra.overrides.task if override.lstrip("+").startswith(OF_MODELS)]
    return "".join(f" {shlex.quote(word)}" for word in [*names, *options])


def _write(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_write(entry)}' for key, entry in value.items())}}}"
    return "null" if value is None else str(value)
