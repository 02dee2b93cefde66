"""What a run takes for granted, or leaves aside, of settings: a line each before it begins."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from invset.cli import app
from invset.cli.report import chosen_models
from invset.cli.resume import key
from invset.cli.schema import SampleConfig
from invset.cli.sweep import job_overrides
from invset.errors import ConfigError

if TYPE_CHECKING:
    from invset.cli.build import Sampling

OF_SEEDS = ("schedule.alpha", "schedule.outer_iterations")  # the penalty grows from one outer iteration to the next


def notes(config: SampleConfig, sampling: Sampling) -> Iterator[str]:
    """Lines on the settings of the run that Hydra is at, which begins anew."""
    given = {key(override) for override in job_overrides()}
    if "neuron" in given and "range" not in given and (usual := _usual_neuron(config, sampling)) is not None:
        unit = shlex.quote(f"neuron={sampling.models.units[0]}")
        yield (
            f"range={config.range} is the default, made for {usual}; what this unit reaches: "
            f"invset probe {unit}{chosen_models()}"
        )
    ignored = [name for name in OF_SEEDS if name in given]
    if ignored and not sampling.has_seeds:
        what = " and ".join(ignored)
        yield f"{what}: not used by method={config.method.name}, which has no outer iterations; method=paper has."


def _usual_neuron(config: SampleConfig, sampling: Sampling) -> str | None:
    """The unit that the range was made for; None if it is the run's own, or is not known."""
    from invset.models.unit import parse_unit

    others = [override for override in job_overrides() if key(override) != "neuron"]
    try:
        usual = app.composed("sample", others).neuron
        unit = parse_unit(usual, sampling.models.network, config.position) if isinstance(usual, str) else None  # type: ignore[arg-type]
    except ConfigError:
        return None
    return usual if unit is not None and unit != sampling.models.units[0] else None
