"""How far a run is to go: to n samples, or to a plateau and n at most; as settings and summaries have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invset.settings import SampleSettings

KEYS = ("n", "until", "gain")


def describe(settings: SampleSettings, samples: int, plateau: bool) -> dict[str, Any]:
    """What summary.json says of the goal; `wanted` are as many as the plateau took, where there is one."""
    ended = settings.until == "plateau" and plateau
    return {"wanted": samples if ended else settings.n, **{key: getattr(settings, key) for key in KEYS}}


def is_reached(summary: Mapping[str, Any], settings: SampleSettings) -> bool:
    """Whether a summary is of a run as far as the settings ask, not of one before it was extended."""
    keys = KEYS if settings.until == "plateau" else ("n", "until")
    return all(summary.get(key) == getattr(settings, key) for key in keys)
