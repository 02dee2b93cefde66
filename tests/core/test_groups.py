"""Several groups of chains at once are each what it is alone, and go through the networks together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from invset.core.groups import Groups
from invset.core.state import ACTIVE
from invset.errors import NonFiniteError

SCHEDULES: dict[str, dict[str, Any]] = {
    "paper": {"chains": 3, "inner_steps": 5, "outer_iterations": 99},
    "multistart": {"chains": 3, "inner_steps": 20},
}
GROUPS, STEPS = 4, 60
RANGES = ((8.0, 12.0), (-9.0, -6.0))


def methods(toy: Any, name: str, problem: Any, count: int = GROUPS) -> list[Any]:
    made = []
    for number in range(count):
        method = getattr(toy, name)(problem, **SCHEDULES[name])
        draw, first = toy.draw, 3 * number
        method.draw = lambda chain, attempt, draw=draw, first=first: draw(first + chain, attempt)
        made.append(method)
    return made


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_group_is_what_it_is_alone(name: str, batch_size: int | None, linear: type, walk: Callable) -> None:
    """float64, to rounding: codes, what they give, who is a sample, λ and μ, at every step."""
    toy = linear(ranges=RANGES, random_seed=2)
    problem = toy.problem()
    state, infos = walk(Groups(problem, methods(toy, name, problem), batch_size), STEPS)
    alone = [walk(method, STEPS) for method in methods(toy, name, toy.problem())]
    phases = set()
    for number, (end, steps) in enumerate(alone):
        for expected, info in zip(steps, infos, strict=False):
            (found,) = [part for part in info.groups if part.chains[0] == 3 * number]
            assert found.chains.tolist() == [3 * number + chain for chain in range(3)]
            torch.testing.assert_close(found.codes, expected.codes, rtol=1e-8, atol=1e-9)
            torch.testing.assert_close(found.evaluation, expected.evaluation, rtol=1e-8, atol=1e-9)
            assert found.samples.tolist() == expected.samples.tolist()
            assert (found.phase, found.outer, found.step) == (expected.phase, expected.outer, expected.step)
            torch.testing.assert_close(found.multipliers.values, expected.multipliers.values, rtol=1e-8, atol=1e-8)
            assert found.multipliers.penalty == expected.multipliers.penalty
            phases.add((number, expected.phase))
        torch.testing.assert_close(state.groups[number].codes, end.codes, rtol=1e-8, atol=1e-9)
    assert len(phases) == 2 * GROUPS, "seeds and samples of each"


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_one_batch(name: str, linear: type) -> None:
    toy = linear(ranges=RANGES, random_seed=2)
    problem = toy.problem()
    method = Groups(problem, methods(toy, name, problem))
    state = method.begin()
    toy.batches.clear()
    method.step(state)
    assert toy.batches == [3 * GROUPS]


def test_the_sum_of_groups_has_rows_of_all(linear: type, walk: Callable) -> None:
    toy = linear(ranges=RANGES, random_seed=2)
    problem = toy.problem()
    state, infos = walk(Groups(problem, methods(toy, "paper", problem)), STEPS)
    assert state.step == len(infos) == STEPS
    assert [info.step for info in infos] == list(range(STEPS))
    for info in infos:
        assert info.chains.tolist() == list(range(3 * GROUPS))
        parts = [part.evaluation.activations[part.samples] for part in info.groups]
        assert torch.equal(info.evaluation.activations[info.samples], torch.cat(parts))
        assert info.phase == ("sampling" if any(part.phase == "sampling" for part in info.groups) else "seeding")
    assert torch.equal(state.codes, torch.cat([one.codes for one in state.groups]))


def test_a_group_at_its_end_rests_and_the_run_goes_on(linear: type) -> None:
    toy = linear(ranges=RANGES, random_seed=2)
    problem = toy.problem()
    method = Groups(problem, methods(toy, "paper", problem, 2))
    state = method.begin()
    first = state.groups[0]._replace(phase="unreachable")
    state = state._replace(groups=(first, *state.groups[1:]))
    for _ in range(30):
        state, info = method.step(state)
        assert info.chains.tolist() == [3, 4, 5]
        assert state.phase in ACTIVE
    assert torch.equal(state.groups[0].codes, first.codes)
    ends = [one._replace(phase="unreachable") for one in state.groups]
    assert method.step(state._replace(groups=(ends[0], state.groups[1])))[0].phase == "sampling"


def test_chains_are_counted_through_in_errors(linear: type) -> None:
    toy = linear(ranges=RANGES, random_seed=2)
    problem = toy.problem()
    method = Groups(problem, methods(toy, "paper", problem))
    state = method.begin()
    broken = state.groups[1]._replace(codes=state.groups[1].codes.index_fill(0, torch.tensor([2]), torch.nan))
    with pytest.raises(NonFiniteError, match="the activations of chain 5 "):
        method.step(state._replace(groups=(state.groups[0], broken, *state.groups[2:])))
