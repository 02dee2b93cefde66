"""`invset probe`: what does a neuron's activation reach, and which ranges make sense?"""

from __future__ import annotations

from typing import cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from invset.assemble.models import build_models
from invset.assemble.sampling import parse_neurons
from invset.cli.app import NOT_REACHED
from invset.cli.fetching import fetch_for_run
from invset.cli.overrides import chosen_models
from invset.cli.terminal import say
from invset.settings import ProbeSettings, check
from invset.survey import survey


def task(composed: DictConfig) -> int:
    """Probe each neuron and print what it reaches; returns the exit code."""
    settings = cast(ProbeSettings, OmegaConf.to_object(composed))
    check(settings)
    console = Console()
    models = build_models(settings, parse_neurons(settings.neuron), fetch_for_run)
    surveys = survey(
        settings, models, lambda largest: say(console, f"memory ran out: from here on {largest} at a time")
    )
    found = True
    for unit, one in zip(models.units, surveys, strict=True):
        console.print(one.unit, style="bold", highlight=False, markup=False)
        say(console, one.table)
        if not one.ranges:
            say(console, "no range to suggest: ascent does not get above usual activations.\n")
            found = False
            continue
        say(console, "ranges to try, each a little rarer:")
        for low, high in one.ranges:
            command = f"invset sample neuron={unit} 'range=[{low:g},{high:g}]'{chosen_models()}"
            say(console, f"  {command}  # {one.standing(low)}")
        console.print()
    return 0 if found else NOT_REACHED
