"""`invset units`: the layers of a network, their units, and the names that units have."""

from __future__ import annotations

from typing import cast

from omegaconf import DictConfig, OmegaConf

from invset.settings import UnitsSettings, check


def task(composed: DictConfig) -> int:
    """Print the layers, or one layer, or the units whose names have a word in them; returns the exit code.

    No weights are fetched for it.

    Raises:
        InvsetError: a setting or weights are wrong, or nothing is found.
    """
    from invset.assemble.device import prepare_torch
    from invset.assemble.models import build_to_list
    from invset.cli.fetching import fetch_for_run
    from invset.models.listing import list_units

    config = cast(UnitsSettings, OmegaConf.to_object(composed))
    check(config)
    prepare_torch("cpu", config.threads)
    lines = list_units(build_to_list(config.network, fetch_for_run), config.find)
    if config.find is None:
        lines[-1] += " More: invset units LAYER, or a word to look for."
    print("\n".join(lines))
    return 0
