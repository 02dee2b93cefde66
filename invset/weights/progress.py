"""What fetching says while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from invset.weights.known import Source, Weights

Phase = Literal["waiting for another process", "downloading", "waiting to try again", "unpacking", "checking"]


@dataclass(frozen=True)
class Progress:
    """Where fetching stands: bytes done, of `total` if that is known; `note` says why, where there is a why."""

    weights: Weights
    source: Source | None
    phase: Phase
    done: int = 0
    total: int | None = None
    note: str = ""


Report = Callable[[Progress], None]
"""Told of progress, often; what it raises ends the fetching, and what came so far is kept."""


def unheard(progress: Progress) -> None:
    """Tell nobody."""
