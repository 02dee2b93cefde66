"""Seeds (eq. 6): K codes in the feasible region, by the augmented Lagrangian of eqs. 8 and 9.

The slack is in closed form; inner gradient steps in C; then λ, then μ ← αμ. It stops as soon as all codes are feasible,
or, to see what that approximation costs (sec. 4.3), goes on until the objective no longer grows. Several groups of K
chains each go by their own count.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from invset.core import scales, steps
from invset.core.chains import Chains, Draw, restart
from invset.core.diversity import Moments
from invset.core.lagrangian import Scales
from invset.core.method import Abilities, Phase, View
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.scales import Distances

PROGRESS = 0.9  # an outer iteration that leaves more than this of a violation has not helped
GROWTH = 1.01  # fully optimised: the objective grew by less than this factor in an outer iteration


class Schedule(NamedTuple):
    """K chains a group, groups, μ₀, α, inner steps an outer iteration, outer iterations at most, and when to stop.

    `objective_scale` None: measured at the start. A number: the paper's units, 1 as printed.
    """

    chains: int = 10
    groups: int = 1
    penalty: float = 10.0
    growth: float = 10.0
    inner_steps: int = 100
    outer_iterations: int = 8
    stop: Literal["feasible", "optimised"] = "feasible"
    objective_scale: float | None = None


class Seeking(NamedTuple):
    """Where groups stand on their way to seeds.

    Attributes:
        penalty: μ (g,) float64.
        outer: (g,), outer iteration, from 0.
        inner: (g,), gradient steps in this outer iteration.
        violation: (k,), each chain's when its outer iteration began, in half widths.
        objective: (g,) float64, the objective then.
    """

    penalty: Tensor
    outer: Tensor
    inner: Tensor
    violation: Tensor
    objective: Tensor

    @classmethod
    def first(cls, schedule: Schedule, device: torch.device) -> Seeking:
        """Before the first step."""
        zeros = torch.zeros(schedule.groups, dtype=torch.int64, device=device)
        violation = torch.full((schedule.groups * schedule.chains,), torch.inf, device=device)
        return cls(schedule.penalty + zeros.double(), zeros, zeros, violation, zeros.double())

    def note_beginning(self, group: Tensor, view: View, everyone: Moments) -> Seeking:
        """Where outer iterations begin, to tell at their end what they have brought."""
        begins = self.inner == 0
        return self._replace(
            violation=torch.where(begins[group], view.total, self.violation),
            objective=torch.where(begins, everyone.pairwise(), self.objective),
        )


class Descent(Abilities):
    """What methods share that descend the augmented Lagrangian.

    Args:
        problem: codes to images, encodings, activations.
        region: the activation ranges.
        schedule: K, μ₀, α and the rest.
        draw: (chain, attempt) -> a start code (c,).
        references: unrelated codes (m, c), m ≥ 2, on which scales are measured.
    """

    descends: ClassVar[bool] = True

    def __init__(self, problem: Problem, region: Region, schedule: Schedule, draw: Draw, references: Tensor) -> None:
        self.problem = problem
        self.region = region
        self.schedule = schedule
        self.draw = draw
        self.references = references

    def group(self, device: torch.device) -> Tensor:
        """The group of each chain, (k,): the first K are the first's."""
        return torch.arange(self.schedule.groups, device=device).repeat_interleave(self.schedule.chains)

    def renew(self, state: Any, which: Tensor) -> Any:
        """New starts for the chains `which` (k,) bool, whose codes give NaN or infinity."""
        return state._replace(chains=restart(state.chains, which, self.problem, self.draw))

    def measure(self) -> tuple[Distances, Scales]:
        """The scales on which objective and constraints are weighed, from the references."""
        distances = scales.measure(self.problem, self.references)
        if self.schedule.objective_scale is None:
            return distances, scales.automatic(distances, self.region, self.schedule.chains)
        return distances, scales.fixed(self.schedule.objective_scale, self.region)

    def has_arrived(self, seeking: Seeking, view: View, everyone: Moments) -> Tensor:
        """(g,) bool: all of a group's codes are feasible and, if fully optimised, its objective has stopped growing."""
        feasible = view.feasible.view(self.schedule.groups, -1).all(dim=1)
        if self.schedule.stop == "feasible":
            return feasible
        outer_ended = (seeking.inner == 0) & (seeking.outer > 0)
        return feasible & outer_ended & (everyone.pairwise() < GROWTH * seeking.objective)

    def advance(
        self, seeking: Seeking, chains: Chains, groups: Tensor, multipliers: Tensor, view: View
    ) -> tuple[Seeking, Chains, dict[int, Phase]]:
        """Count an inner step of `groups` (g,) bool; after the last, new λ, μ ← αμ, new starts for stuck chains.

        `multipliers` (k, p) are the new λ, and `view` is of the codes before the step. A group whose outer iterations
        are used up, or of whose chains none gets any closer, goes on with the seeds it has or is unreachable: its new
        phase.
        """
        schedule = self.schedule
        seeking = seeking._replace(inner=seeking.inner + groups)
        ends = groups & (seeking.inner >= schedule.inner_steps)
        if not ends.any():
            return seeking, chains, {}
        stuck = (view.total > PROGRESS * seeking.violation) & (seeking.violation > 0)
        restarted = torch.zeros_like(stuck)
        phases: dict[int, Phase] = {}
        for number in ends.nonzero().flatten().tolist():
            rows = slice(number * schedule.chains, (number + 1) * schedule.chains)
            outer, found = int(seeking.outer[number]), bool(view.feasible[rows].any())
            hopeless = outer > 0 and not found and bool(stuck[rows].all())
            if hopeless or outer + 1 >= schedule.outer_iterations:
                phases[number] = "sampling" if found else "unreachable"
            restarted[rows] = stuck[rows] if phases.get(number) != "unreachable" else False
        seeking = seeking._replace(
            penalty=torch.where(ends, seeking.penalty * schedule.growth, seeking.penalty),
            outer=seeking.outer + ends,
            inner=seeking.inner.masked_fill(ends, 0),
        )
        group = self.group(chains.codes.device)
        chains = chains._replace(multipliers=torch.where(ends[group][:, None], multipliers, chains.multipliers))
        begins = torch.tensor([phases.get(number) == "sampling" for number in range(schedule.groups)]).to(group.device)
        chains = chains.where(begins[group], steps.widen(chains, steps.SAMPLING))
        return seeking, restart(chains, restarted, self.problem, self.draw), phases
