"""How far a run is to go: to n samples, or to a plateau and n at most; as configs and summaries have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invset.cli.schema import SampleConfig

KEYS = ("n", "until", "gain")


def changed(saved: Mapping[Any, Any], config: SampleConfig) -> dict[str, Any]:
    """Those of the keys in which a config differs from a saved one, with their new values."""
    usual = {"until": SampleConfig.until, "gain": SampleConfig.gain}  # of runs from before there was a choice
    now = {key: getattr(config, key) for key in KEYS}
    return {key: value for key, value in now.items() if saved.get(key, usual.get(key)) != value}


def told(config: SampleConfig, samples: int, plateau: bool) -> dict[str, Any]:
    """What summary.json says of the goal; `wanted` are as many as the plateau took, where there is one."""
    ended = config.until == "plateau" and plateau
    return {"wanted": samples if ended else config.n, **{key: getattr(config, key) for key in KEYS}}


def is_of(summary: Mapping[str, Any], config: SampleConfig) -> bool:
    """Whether a summary is of a run as far as a config asks, not of one before it was extended."""
    saved = {"n": summary.get("n", summary.get("wanted")), **{key: summary[key] for key in KEYS if key in summary}}
    differing = changed(saved, config)
    return not (differing.keys() - {"gain"} if config.until == "n" else differing)
