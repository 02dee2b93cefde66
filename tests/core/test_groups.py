"""Several groups of chains at once are each what it is alone, and go through the networks together."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from invset.core.method import ACTIVE, Step
from tests.toys import TWO_RANGES, Linear, assert_same_run, walk

pytestmark = pytest.mark.usefixtures("float64")

GROUPS, STEPS = 3, 60
METHODS: dict[str, dict[str, Any]] = {
    "paper": {"inner_steps": 5, "outer_iterations": 99},
    "multistart": {"inner_steps": 20},
    "multistart, evenly": {"inner_steps": 20, "even": True},
}


def build(toy: Linear, name: str, **more: Any) -> Any:
    return getattr(toy, name.split(",")[0])(**METHODS[name], **more)


def part(step: Step, number: int) -> Step:
    """What a step says of one group, numbered as if it were alone."""
    own = step.only(step.chains // 3 == number)
    return own._replace(chains=own.chains - 3 * number)


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize("name", METHODS)
def test_each_group_is_what_it_is_alone(name: str, size: int | None) -> None:
    """To rounding: codes, what they give, who is a sample, λ and μ, at every step."""
    toy = Linear(TWO_RANGES, random_seed=2)
    state, taken = walk(build(toy, name, problem=toy.problem(size), groups=GROUPS), STEPS)
    phases = set()
    for number in range(GROUPS):
        alone = build(toy, name)
        alone.draw = lambda chain, attempt, first=3 * number: toy.draw(first + chain, attempt)
        end, expected = walk(alone, STEPS)
        ours = [part(step, number) for step in taken]
        assert_same_run(ours, expected)
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one.evaluation, other.evaluation, rtol=1e-8, atol=1e-9)
            phases.add((number, bool(other.sampling.any())))
        assert state.phases[number] == end.phase
        rows = slice(3 * number, 3 * number + 3)
        torch.testing.assert_close(state.chains.codes[rows], end.chains.codes, rtol=1e-8, atol=1e-9)
        assert torch.equal(state.chains.attempts[rows], end.chains.attempts)
    assert len(phases) == 2 * GROUPS, "before the first sample and after, of each"


@pytest.mark.parametrize("name", METHODS)
def test_a_step_is_one_batch(name: str) -> None:
    toy = Linear(TWO_RANGES, random_seed=2)
    method = build(toy, name, groups=GROUPS)
    state = method.begin()
    toy.batches.clear()
    method.step(state)
    assert toy.batches == [3 * GROUPS]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("end", ["unreachable", "stalled"])
def test_a_group_at_its_end_rests_and_the_run_goes_on(name: str, end: str) -> None:
    toy = Linear(TWO_RANGES, random_seed=2)
    method = build(toy, name, groups=2)
    state = method.begin()
    codes = state.chains.codes[:3]
    state = state._replace(phases=(end, "seeding"))
    assert state.phase == "seeding"
    for _ in range(30):
        state, step = method.step(state)
        assert step.chains.tolist() == [3, 4, 5]
        assert step.feasible[step.samples].all()
        assert state.phase in ACTIVE
        assert state.phases[0] == end
    assert torch.equal(state.chains.codes[:3], codes)
    assert state.phase == "sampling"


def test_a_run_is_at_its_end_with_its_last_group_and_unreachable_only_if_all_are() -> None:
    state = Linear().paper(groups=2).begin()
    for phases, expected in (
        (("unreachable", "sampling"), "sampling"), (("stalled", "seeding"), "seeding"),
        (("unreachable", "stalled"), "stalled"), (("unreachable", "unreachable"), "unreachable"),
    ):  # fmt: skip
        assert state._replace(phases=phases).phase == expected
        assert state._replace(phases=phases[::-1]).phase == expected
