"""Samples (eq. 7): single gradient steps of eq. 11 inside the feasible region, from the seeds on.

λ* and μ* stay as the seeds left them. After each step the codes that are feasible are new samples and become the C₀
that the next step moves away from; every code, feasible or not, goes on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core.diversity import Moments
from invset.core.state import State

PATIENCE = 100  # steps without a new sample after which sampling has stalled


def accepted(state: State, encodings: Tensor, feasible: Tensor) -> tuple[State, Tensor]:
    """The chains (m,) whose codes are new samples, and the state with them as C₀ (steps 4 and 5 of sec. 3.4)."""
    chains = feasible.nonzero().flatten()
    if not len(chains):
        return state._replace(idle=state.idle + 1), chains
    return state._replace(previous=Moments.of(encodings[feasible]), idle=0), chains


def advanced(state: State) -> State:
    """Count one sampling step; without a new sample for long, sampling has stalled."""
    return state._replace(inner=state.inner + 1, phase="stalled" if state.idle >= PATIENCE else state.phase)


def none(codes: Tensor) -> Tensor:
    """No chains: what a step that is not sampling accepts."""
    return torch.zeros(0, dtype=torch.int64, device=codes.device)
