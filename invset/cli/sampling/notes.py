"""Settings that were defaulted or are passed over: a line each before a run begins."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from invset.assemble.sampling import Sampling
from invset.cli.compose import compose
from invset.cli.overrides import chosen_models, job_overrides, key_of
from invset.errors import ConfigError
from invset.models.unit import parse_unit
from invset.settings import SampleSettings


def notes(settings: SampleSettings, sampling: Sampling) -> Iterator[str]:
    """Lines on the settings of the run that Hydra is at, which begins anew."""
    given = {key_of(override) for override in job_overrides()}
    if "neuron" in given and "range" not in given and (usual := _usual_neuron(settings, sampling)) is not None:
        unit = shlex.quote(f"neuron={sampling.models.units[0]}")
        yield (
            f"range={settings.range} is the default, made for {usual}; what this unit reaches: "
            f"invset probe {unit}{chosen_models()}"
        )
    if sampling.unused:
        yield f"{' and '.join(sampling.unused)}: not used by method={settings.method.name}"


def _usual_neuron(settings: SampleSettings, sampling: Sampling) -> str | None:
    """The unit that the range was made for; None if it is the run's own, or is not known."""
    others = [override for override in job_overrides() if key_of(override) != "neuron"]
    try:
        usual = compose("sample", others).neuron
        unit = parse_unit(usual, sampling.models.network, settings.position) if isinstance(usual, str) else None  # type: ignore[arg-type]
    except ConfigError:
        return None
    return usual if unit is not None and unit != sampling.models.units[0] else None
