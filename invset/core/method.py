"""What a method is: a state, and steps from one to the next, each of which tells what it saw and took."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from invset.core.lagrangian import Multipliers
from invset.core.problem import Evaluation
from invset.core.region import Region
from invset.errors import NonFiniteError

Phase = Literal["seeding", "sampling", "unreachable", "stalled", "done"]
"""`unreachable`: no code reached the ranges. `stalled`: sampling went on for long without a new sample."""

RENEWALS = 10  # in a step, after which NaN ends the run

ACTIVE: tuple[Phase, ...] = ("seeding", "sampling")


class View(NamedTuple):
    """Where k codes stand: feasible (k,) bool, violation (k, p), and its sum over constraints in half widths (k,)."""

    feasible: Tensor
    violation: Tensor
    total: Tensor

    @classmethod
    def of(cls, region: Region, activations: Tensor) -> View:
        """The codes that gave these activations (k, p)."""
        return cls(region.contains(activations), region.violation(activations), region.distance(activations))


class Step(NamedTuple):
    """One step: the codes it began from, what they gave, which became samples, and how far each then went.

    Attributes:
        number: of the step, from 0.
        chains: (k,), from 0.
        codes: (k, c).
        evaluation: of the codes; its images may have been left out.
        violation: (k, p), in units of activation.
        feasible: (k,) bool.
        samples: (m,), the rows that are new samples.
        sampling: (k,) bool: the chain gives samples; else its seeds are still sought.
        begins: (k,) bool: with this step the chain begins to.
        outer: (k,), its outer iteration, from 0.
        multipliers: λ (k, p) and μ (k,).
        lengths: (k,), in units of code.
    """

    number: int
    chains: Tensor
    codes: Tensor
    evaluation: Evaluation
    violation: Tensor
    feasible: Tensor
    samples: Tensor
    sampling: Tensor
    begins: Tensor
    outer: Tensor
    multipliers: Multipliers
    lengths: Tensor

    @classmethod
    def of(
        cls, number: int, codes: Tensor, evaluation: Evaluation, view: View, multipliers: Multipliers, **more: Tensor
    ) -> Step:
        """A step of all chains; unless `more` says so, none samples, and none moves."""
        none, zeros = torch.zeros_like(view.feasible), torch.zeros(len(codes), device=codes.device)
        known = {
            "chains": torch.arange(len(codes), device=codes.device),
            "samples": none.nonzero().flatten(),
            "sampling": none,
            "begins": none,
            "outer": zeros.long(),
            "lengths": zeros,
        }
        parts: dict[str, Any] = known | more
        return cls(
            number,
            codes=codes,
            evaluation=evaluation,
            violation=view.violation,
            feasible=view.feasible,
            multipliers=multipliers,
            **parts,
        )

    def only(self, which: Tensor) -> Step:
        """The step of the chains `which` (k,) bool alone."""
        if which.all():
            return self
        rows = which.nonzero().flatten()
        samples = torch.zeros_like(which).index_fill(0, self.samples, True)[rows].nonzero().flatten()
        per_chain = {name: value for name, value in self._asdict().items() if name != "samples"}
        parts: dict[str, Any] = {name: value[rows] for name, value in per_chain.items() if isinstance(value, Tensor)}
        evaluation = Evaluation(*(value[rows] if len(value) else value for value in self.evaluation))
        multipliers = Multipliers(*(value[rows] for value in self.multipliers))
        parts |= {"samples": samples, "evaluation": evaluation, "multipliers": multipliers}
        return self._replace(**parts)


class State(Protocol):
    """All that a run's next step depends on, a NamedTuple: saved and restored, the run goes on to the same bits."""

    @property
    def phase(self) -> Phase:
        """Where the run stands; a step is only taken from an active one."""

    @property
    def step(self) -> int:
        """Steps taken."""


class Abilities:
    """What a method can do and what it needs; a method's class says where it differs.

    Attributes:
        Settings: the dataclass of its own settings, if it has any.
        descends: it descends the augmented Lagrangian, with μ₀ and inner steps.
        seeds: it seeks K seeds that are in range all at once, and samples from there.
        groups: its chains may form several groups, each as if it were alone.
        fills: it can fill a range evenly.
        grows: it gives samples for as long as it is asked, so that it may be stopped at a plateau.
        joint: all its samples are optimised together, so that their number is settled at the start.
        pixels: its codes are the images themselves.
        reads_folder: it takes its images from a folder.
        starts: where its chains usually start, if the generator knows natural codes.
        own_starts: every sample has a start of its own, so that those of a chain are no more alike than others.
    """

    Settings: ClassVar[type | None] = None
    descends: ClassVar[bool] = False
    seeds: ClassVar[bool] = False
    groups: ClassVar[bool] = False
    fills: ClassVar[bool] = False
    grows: ClassVar[bool] = True
    joint: ClassVar[bool] = False
    pixels: ClassVar[bool] = False
    reads_folder: ClassVar[bool] = False
    starts: ClassVar[str] = "normal"
    own_starts: ClassVar[bool] = False

    def renew(self, state: Any, which: Tensor) -> Any:
        """The state with new starts for the chains `which` (k,) bool; as it is of a method without chains."""
        return state


class Method(Protocol):
    """A way to sample an inverse set."""

    @property
    def State(self) -> type:
        """The type of its states, as the class has it."""

    def begin(self) -> Any:
        """The state before the first step."""

    def step(self, state: Any) -> tuple[Any, Step]:
        """One step; only from a state whose phase is active."""

    def renew(self, state: Any, which: Tensor) -> Any:
        """The state with new starts for the chains `which` (k,) bool, whose codes give NaN or infinity."""


class Renewing(Abilities):
    """A method, of which a chain whose code gives NaN or infinity starts anew; its step is then taken with that."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.State = method.State
        self.begin = method.begin

    def step(self, state: Any) -> tuple[Any, Step]:
        """One step.

        Raises:
            NonFiniteError: new starts give NaN or infinity again and again.
        """
        for _ in range(RENEWALS):
            try:
                return self.method.step(state)
            except NonFiniteError as error:
                if error.rows is None:
                    raise
                state = self.method.renew(state, error.rows)
        return self.method.step(state)


def all_seeding(groups: int) -> tuple[Phase, ...]:
    """The phases of groups that have yet to find their seeds."""
    first: Phase = "seeding"
    return (first,) * groups


def joint_phase(phases: tuple[Phase, ...]) -> Phase:
    """The phase of a run of several groups: sampling as soon as one is, and unreachable only if none had a sample."""
    order: tuple[Phase, ...] = ("sampling", "seeding", "stalled", "done", "unreachable")
    return min(phases, key=order.index)


def in_phase(phases: tuple[Phase, ...], wanted: tuple[Phase, ...], device: torch.device) -> Tensor:
    """(g,) bool: groups whose phase is among those wanted."""
    return torch.tensor([phase in wanted for phase in phases], device=device)
