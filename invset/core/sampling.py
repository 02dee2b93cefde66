"""Samples (eq. 7): single gradient steps of eq. 11 inside the feasible region, from the seeds on.

λ* and μ* stay as the seeds left them. After each step the codes that are feasible are new samples and become the C₀
that the next step moves away from; every code, feasible or not, goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from invset.core.diversity import Moments
from invset.core.state import State

if TYPE_CHECKING:
    from invset.core.descent import View

PATIENCE = 100  # steps without a new sample after which sampling has stalled


def accepted(state: State, view: View) -> tuple[State, Tensor]:
    """The state with the feasible codes as C₀, and their rows (m,): new samples (steps 4 and 5 of sec. 3.4)."""
    rows = view.feasible.nonzero().flatten()
    if not len(rows):
        return state._replace(idle=state.idle + 1), rows
    return state._replace(previous=Moments.of(view.evaluation.encodings[rows]), idle=0), rows


def advanced(state: State) -> State:
    """Count one sampling step; without a new sample for long, sampling has stalled."""
    return state._replace(inner=state.inner + 1, phase="stalled" if state.idle >= PATIENCE else state.phase)


def nothing(state: State) -> Tensor:
    """No rows: what a step that is not sampling accepts."""
    return torch.zeros(0, dtype=torch.int64, device=state.codes.device)
