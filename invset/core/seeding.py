"""Seeds (eq. 6): K codes in the feasible region, by the augmented Lagrangian of eqs. 8 and 9.

The slack is in closed form; inner gradient steps in C; then λ, then μ ← αμ. It stops as soon as all codes are feasible,
or, to see what that approximation costs (sec. 4.3), goes on until the objective no longer grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from invset.core import lagrangian, scales, steps
from invset.core.diversity import Moments
from invset.core.lagrangian import Multipliers
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.state import Lives, Phase, State
from invset.core.steps import Steps

if TYPE_CHECKING:
    from invset.core.descent import View

Draw = Callable[[int, int], Tensor]
"""(chain, attempt) -> a start code (c,)"""

PROGRESS = 0.9  # an outer iteration that leaves more than this of a violation has not helped
GROWTH = 1.01  # fully optimised: the objective grew by less than this factor in an outer iteration
WAKING_ATTEMPTS = 20


class Schedule(NamedTuple):
    """K chains, μ₀, α, inner steps an outer iteration, outer iterations at most, and when to stop.

    `objective_scale` None: measured at the start. A number: the paper's units, 1 as printed.
    """

    chains: int = 10
    penalty: float = 10.0
    growth: float = 10.0
    inner_steps: int = 100
    outer_iterations: int = 8
    stop: Literal["feasible", "optimised"] = "feasible"
    objective_scale: float | None = None
    batch_size: int | None = None


def begin(problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor) -> State:
    """The K start codes, λ = 0, μ = μ₀, and the scales as measured on unrelated codes, references (m, c)."""
    chains, constraints = schedule.chains, len(region.lower)
    codes, attempts = _awake(problem, region, draw, chains, schedule.batch_size)
    device = codes.device
    distances = scales.measure(problem, references, schedule.batch_size)
    if schedule.objective_scale is None:
        scale = scales.automatic(distances, region, chains)
    else:
        scale = scales.fixed(schedule.objective_scale, region)
    encoding = problem.evaluate(codes[:1]).encodings
    return State(
        phase="seeding",
        codes=codes,
        multipliers=lagrangian.no_multipliers(chains, constraints, schedule.penalty, device),
        steps=Steps.first(chains, device),
        previous=Moments.of(encoding[:0]),
        scales=scale,
        distances=distances,
        attempts=attempts,
        outer=0,
        inner=0,
        step=0,
        idle=0,
        outer_violation=torch.full((chains,), torch.inf, device=device),
        outer_objective=0.0,
        closest=torch.full((constraints,), torch.nan, device=device),
        closest_violation=torch.inf,
        lives=Lives.none(),
    )


def _awake(problem: Problem, region: Region, draw: Draw, chains: int, batch_size: int | None) -> tuple[Tensor, Tensor]:
    """Starts at which every unmet constraint has a gradient: behind a ReLU that is off, no step leads anywhere.

    Starts that have none are drawn again, some times; then the objective may still wake them.
    """
    attempts = torch.zeros(chains, dtype=torch.int64)
    start = draw(0, 0)
    codes = torch.empty(chains, len(start), dtype=start.dtype, device=start.device)
    for chain in range(chains):
        codes[chain] = problem.bound(draw(chain, 0))
    asleep = torch.arange(chains)
    for _ in range(WAKING_ATTEMPTS):
        where = codes if len(asleep) == chains else codes[asleep]
        asleep = asleep[_without_gradient(problem, region, where, batch_size)]
        if not len(asleep):
            break
        for chain in asleep.tolist():
            attempts[chain] += 1
            codes[chain] = problem.bound(draw(chain, int(attempts[chain])))
    return codes, attempts


def _without_gradient(problem: Problem, region: Region, codes: Tensor, batch_size: int | None) -> Tensor:
    """(k,) bool, on the CPU: some constraint is violated and its activation does not depend on the code."""
    asleep = torch.zeros(len(codes), dtype=torch.bool)
    size = batch_size or max(len(codes), 1)
    for first in range(0, len(codes), size):
        rows = slice(first, first + size)
        for constraint in range(len(region.lower)):
            evaluation, pull_back = problem.linearise(codes[rows], first=first, keep_images=False)
            one = torch.zeros_like(evaluation.activations)
            one[:, constraint] = 1
            gradient = pull_back(torch.zeros_like(evaluation.encodings), one)
            violated = region.violation(evaluation.activations)[:, constraint] > 0
            asleep[rows] |= (violated & (gradient == 0).all(dim=1)).cpu()
    return asleep


def arrived(state: State, schedule: Schedule, view: View) -> bool:
    """The seeds are there: all codes are feasible and, if fully optimised, the objective has stopped growing."""
    if not view.feasible.all():
        return False
    if schedule.stop == "feasible":
        return True
    outer_ended = state.inner == 0 and state.outer > 0
    return outer_ended and float(view.group.pairwise()) < GROWTH * state.outer_objective


def recorded(state: State, view: View) -> State:
    """Where an outer iteration begins, to tell at its end what it has brought."""
    if state.inner > 0:
        return state
    return state._replace(outer_violation=view.total, outer_objective=float(view.group.pairwise()))


def advanced(state: State, schedule: Schedule, problem: Problem, region: Region, draw: Draw, view: View) -> State:
    """Count one inner step; after the last, λ ← λ − μ(f − s)/r, μ ← αμ, and a new start for chains that got nowhere.

    The view is of the codes before the step. Ends as `unreachable` when no code is feasible and none gets closer, or
    as `sampling` with the codes that are.
    """
    if state.inner + 1 < schedule.inner_steps:
        return state._replace(inner=state.inner + 1)
    multipliers = Multipliers(
        lagrangian.updated(view.evaluation.activations, state.multipliers, region, state.scales),
        state.multipliers.penalty * schedule.growth,
    )
    stuck = (view.total > PROGRESS * state.outer_violation) & (state.outer_violation > 0)
    exhausted = state.outer + 1 >= schedule.outer_iterations
    hopeless = state.outer > 0 and not view.feasible.any() and bool(stuck.all())
    phase: Phase = state.phase
    if exhausted or hopeless:
        phase = "sampling" if view.feasible.any() else "unreachable"
    state = state._replace(
        phase=phase,
        outer=state.outer + 1,
        inner=0,
        multipliers=multipliers,
    )
    if phase == "sampling":
        state = state._replace(steps=steps.at_least(state.steps, steps.SAMPLING))
    return state if phase == "unreachable" else _restarted(state, problem, draw, stuck)


def _restarted(state: State, problem: Problem, draw: Draw, stuck: Tensor) -> State:
    """New starts, with λ = 0, for the chains that are stuck."""
    codes, attempts = state.codes.clone(), state.attempts.clone()
    values = state.multipliers.values.clone()
    first = Steps.first(len(codes), codes.device)
    for chain in stuck.nonzero().flatten().tolist():
        attempts[chain] += 1
        codes[chain] = problem.bound(draw(chain, int(attempts[chain])))
        values[chain] = 0
    return state._replace(
        codes=codes,
        attempts=attempts,
        multipliers=state.multipliers._replace(values=values),
        steps=Steps(*(torch.where(stuck, new, old) for new, old in zip(first, state.steps, strict=True))),
    )
