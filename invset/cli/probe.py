"""`invset probe`: what does a neuron's activation reach, and which ranges make sense?"""

from __future__ import annotations

from typing import cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from invset.assemble.models import build_models
from invset.assemble.sampling import parse_neurons
from invset.cli.app import NOT_REACHED
from invset.cli.fetching import fetch_for_run
from invset.cli.overrides import chosen_models
from invset.cli.terminal import say
from invset.settings import ProbeSettings, check
from invset.survey import Survey, survey

SHARES = (0.0, 0.05, 0.5, 0.95, 1.0)


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
        _print(console, unit.describe(), one)
        if not one.ranges:
            say(console, "no range to suggest: ascent does not get above usual activations.\n")
            found = False
            continue
        say(console, "ranges to try, each a little rarer:")
        for low, high in one.ranges:
            say(console, f"  invset sample neuron={unit} 'range=[{low:g},{high:g}]'{chosen_models()}")
        console.print()
    return 0 if found else NOT_REACHED


def _print(console: Console, title: str, one: Survey) -> None:
    console.print(title, style="bold", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for heading in ("activation over", "lowest", "5%", "half", "95%", "highest"):
        table.add_column(heading, justify="left" if heading == "activation over" else "right")
    rows = {
        "random codes": one.random,
        "real codes": one.real,
        "the folder's images": one.folder,
        "ascents": one.ascents,
    }
    for name, values in rows.items():
        if values is not None:
            cells = (f"{float(values.quantile(share)):.4g}" for share in SHARES)
            table.add_row(f"{len(values)} {name}", *cells)
    console.print(table)
