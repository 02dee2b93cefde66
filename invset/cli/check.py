"""Refuses settings that types cannot refuse, before any model is built: one message each."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from invset.cli.schema import ProbeConfig, SampleConfig
from invset.errors import ConfigError

LEAST = 200  # samples for a plateau, as in metrics/saturation.py, which would import torch here
CHOICES = {
    "method.name": ("multistart", "paper", "full", "ppgn", "dgn_am", "mfv", "penalty", "pixel_ascent", "search"),
    "constraint": ("range", "lower"),
    "position": ("center", "max", "mean"),
    "fill": ("any", "uniform"),
    "until": ("n", "plateau"),
    "starts": ("auto", "mixed", "normal", "codes", "random_images", "common"),
    "precision": ("float32", "tf32", "bfloat16", "float16"),
    "compile": ("graphs", "inductor"),
    "pixels": ("eight_bit", "raw"),
    "objective.between": ("encodings", "images", "codes", "none"),
    "schedule.stop": ("feasible", "optimised"),
}


class Targets(NamedTuple):
    """Units as texts, and a range for each."""

    neurons: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]


def check_sample(config: SampleConfig) -> Targets:
    """The units and ranges asked for, all settings checked as far as no model is needed.

    Raises:
        ConfigError: the first setting that is wrong.
    """
    _check_choices(config)
    schedule = config.schedule
    at_least("schedule.K", schedule.K, 1)
    at_least("schedule.inner_steps", schedule.inner_steps, 1)
    at_least("schedule.outer_iterations", schedule.outer_iterations, 1)
    at_least("schedule.groups", schedule.groups, 1)
    if schedule.groups > 1 and config.method.name not in ("multistart", "paper"):
        raise ConfigError(
            f"schedule.groups={schedule.groups}: chains of method={config.method.name} form no groups; leave it out, "
            "and give more chains, as schedule.K=100, or for method=full a larger n."
        )
    _positive("schedule.mu", schedule.mu)
    if not (math.isfinite(schedule.alpha) and schedule.alpha > 1):
        raise ConfigError(f"schedule.alpha={schedule.alpha}: the penalty has to grow; give a number above 1, as 10.")
    at_least("n", config.n, 1)
    if config.method.name == "paper" and config.n < schedule.K:
        raise ConfigError(
            f"n={config.n} is less than schedule.K={schedule.K}: the K seeds are the first samples; "
            f"give n={schedule.K} or more, or a smaller schedule.K."
        )
    _check_goal(config)
    if config.fill == "uniform" and config.method.name != "multistart":
        raise ConfigError(f"fill=uniform: method={config.method.name} cannot; leave it out, or add method=multistart.")
    if config.fill == "uniform" and config.constraint != "range":
        raise ConfigError(
            f"fill=uniform: with constraint={config.constraint} the range has no upper end to fill it to."
        )
    if schedule.stop == "optimised" and config.method.name == "multistart":
        raise ConfigError(
            "schedule.stop=optimised: method=multistart has no seeds to optimise; leave it out, or add method=paper "
            "or method=full."
        )
    if config.batch_size not in (None, "auto"):
        if not isinstance(config.batch_size, int) or isinstance(config.batch_size, bool):
            raise ConfigError(f"batch_size={config.batch_size}: give auto, or a whole number from 1 on.")
        at_least("batch_size", config.batch_size, 1)
    if config.threads is not None:
        at_least("threads", config.threads, 1)
    if config.objective.scale != "auto":
        _positive("objective.scale", config.objective.scale, "auto, or a number above 0 (1 is the paper as printed)")
    check_bounds(config.code.bounds)
    _check_folder(config)
    neurons = check_neurons(config.neuron)
    return Targets(neurons, _ranges(config.range, len(neurons)))


def check_probe(config: ProbeConfig) -> tuple[str, ...]:
    """The units asked for, all settings checked as far as no model is needed.

    Raises:
        ConfigError: the first setting that is wrong.
    """
    _check_choices(config)
    at_least("codes", config.codes, 2)
    at_least("chains", config.chains, 1)
    at_least("steps", config.steps, 1)
    if config.threads is not None:
        at_least("threads", config.threads, 1)
    check_bounds(config.code.bounds)
    return check_neurons(config.neuron)


def check_neurons(neuron: Any) -> tuple[str, ...]:
    """One unit or a list of them, as texts. Raises ConfigError."""
    if neuron is None:
        raise ConfigError("neuron=null: give layer:unit, as neuron=fc8:981; invset units lists layers and units.")
    neurons = list(neuron) if isinstance(neuron, (list, tuple)) else [neuron]
    if not neurons or not all(isinstance(text, str) and text for text in neurons):
        raise ConfigError(f"neuron={neuron}: give layer:unit, as fc8:981, or a list, as '[conv5:97,fc8:862]'.")
    if len(set(neurons)) < len(neurons):
        raise ConfigError(f"neuron={neuron}: the same unit twice; give each once.")
    return tuple(neurons)


def check_bounds(bounds: Any) -> None:
    """code.bounds: auto, null or two numbers in order. Raises ConfigError."""
    if bounds is None or bounds == "auto":
        return
    if not (_is_pair(bounds) and bounds[0] < bounds[1]):
        raise ConfigError(f"code.bounds={bounds}: give auto, null, or two numbers in order, as '[0,30]'.")


def at_least(name: str, value: float, least: int) -> None:
    """Raises ConfigError if a number is less than it may be."""
    if value < least:
        raise ConfigError(f"{name}={value}: give {least} or more.")


def near_names(name: str, names: Iterable[str]) -> str:
    """'did you mean …?' or the list of what there is."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {', '.join(known[:20])}{' …' if len(known) > 20 else ''}."


def _check_choices(config: object) -> None:
    for name, choices in CHOICES.items():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is not None and value not in choices:
            raise ConfigError(f"{name}={value}: {near_names(str(value), choices)}")


def _check_goal(config: SampleConfig) -> None:
    if not (_is_number(config.gain) and 0 < config.gain < 1):
        raise ConfigError(f"gain={config.gain}: give a share above 0 and below 1, as 0.05.")
    if config.until == "plateau" and config.method.name == "full":
        raise ConfigError(
            "until=plateau: method=full optimises all its n samples together; leave it out, or choose another method."
        )
    if config.until == "plateau" and config.n < LEAST:
        raise ConfigError(
            f"n={config.n}: a plateau can be told from {LEAST} samples on, and n is the most; give n={LEAST} or more."
        )


def _check_folder(config: SampleConfig) -> None:
    method, auto = config.method.name, config.starts == "auto"
    mixed = auto and method == "multistart"  # if the generator knows of real codes: see usual_starts.py
    if config.folder is not None and not (config.starts in ("codes", "mixed") or mixed or method == "search"):
        told = f"; starts=auto is neither with method={method}" if auto else ""
        raise ConfigError(
            f"folder={config.folder} is only used with starts=codes or mixed{told}: add one of them, or leave folder "
            "out."
        )


def _ranges(value: Any, count: int) -> tuple[tuple[float, float], ...]:
    if value is None:
        raise ConfigError("range=null: give two numbers, as 'range=[50,60]'; invset probe tells what a neuron reaches.")
    if count > 1 and _is_pair(value):
        raise ConfigError(
            f"range={value} is one range (without range= the default one), and there are {count} neurons: each needs "
            "one of its own, in their order, as 'range=[[5,9],[40,50]]'."
        )
    ranges = [value] if count == 1 and not _is_nested(value) else value
    if not isinstance(ranges, (list, tuple)) or not _is_nested(ranges):
        wanted = "two numbers in order, as '[50,60]'" if count == 1 else f"{count} of them, as '[[5,9],[40,50]]'"
        raise ConfigError(f"range={value}: give {wanted}.")
    if len(ranges) != count:
        neurons = "one neuron" if count == 1 else f"{count} neurons"
        raise ConfigError(f"range={value}: {len(ranges)} in all, for {neurons}; give one range for each.")
    for one in ranges:
        if not (_is_pair(one) and one[0] < one[1]):
            raise ConfigError(f"range={value}: {one} is not a range; give two finite numbers in order, as '[50,60]'.")
    return tuple((float(low), float(high)) for low, high in ranges)


def _is_nested(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, (list, tuple)) for one in value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(_is_number(one) for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(name: str, value: Any, wanted: str = "a number above 0") -> None:
    if not _is_number(value) or value <= 0:
        raise ConfigError(f"{name}={value}: give {wanted}.")
