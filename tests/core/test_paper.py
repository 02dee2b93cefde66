"""Runs of `method=paper` (secs. 3.3–3.5): what has to hold of every one of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from tests.toys import TWO_RANGES, Linear, as_images, is_sampling, problem_of, walk


@pytest.mark.parametrize("random_seed", range(3))
@pytest.mark.parametrize("ranges", [((20.0, 24.0),), TWO_RANGES, ((8.0, 12.0), (-3.0, 3.0))], ids=str)
def test_no_chain_is_left_outside_for_good(ranges: tuple, random_seed: int) -> None:
    """Sec. 3.4: what goes outside is pushed back, also where the objective has outgrown the penalty μ*.

    Codes drift outwards without end here, and μ* stays. A chain at whose place −∂L/∂c points further out would, its
    steps halved as often as they fail, stop there.
    """
    state, taken = walk(Linear(ranges, random_seed=random_seed).paper(), 300)
    assert (len(taken), state.phase) == (300, "sampling")
    last = torch.stack([step.feasible for step in taken[-100:]])
    assert last.any(dim=0).all()
    assert state.chains.damping.min() > 1e-3


def tanh_problem(*slopes: float) -> Problem:
    """f = slope(chain) · tanh(c₁): codes carry their chain in c₀, which nothing changes."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        slope = torch.tensor(slopes)[c[:, 0].detach().round().long() % len(slopes)]
        return c[:, 1:], (slope * torch.tanh(c[:, 1]))[:, None]

    return problem_of(lambda c: as_images(c[:, :3]), read)


def numbered_draw(chain: int, attempt: int) -> Tensor:
    code = torch.randn(3, generator=torch.Generator().manual_seed(100 * chain + attempt)) / 4
    code[0] = chain
    return code


def paper_on(problem: Problem, activation_range: tuple[float, float], chains: int, **schedule: Any) -> Paper:
    references = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    draw = schedule.pop("draw", numbered_draw)
    region = Region.two_sided([activation_range])
    return Paper(problem, region, Schedule(chains=chains, **schedule), draw, references)


def test_a_range_that_only_some_chains_reach_is_still_sampled() -> None:
    state, taken = walk(paper_on(tanh_problem(3.0, 0.1), (1.0, 2.0), 4, inner_steps=10), 250)
    assert state.phase == "sampling"
    begins = [step.number for step in taken if step.begins.any()]
    assert begins == [next(step.number for step in taken if step.sampling.any())], "seeds, if not all in range"
    from_chain = torch.cat([step.samples for step in taken]).bincount(minlength=4)
    assert from_chain[0] > 50
    assert from_chain[2] > 50
    assert from_chain[1] == from_chain[3] == 0
    assert state.chains.attempts.tolist()[1] > 0


def test_all_starts_dead_is_unreachable_and_not_an_endless_search() -> None:
    """Behind a ReLU that is off no step leads anywhere."""
    relu = problem_of(as_images, lambda images: (images.flatten(1), images.flatten(1)[:, :1].relu()))
    state, taken = walk(paper_on(relu, (2.0, 3.0), 2, inner_steps=5, draw=lambda k, a: -torch.ones(3)), 200)
    assert (state.phase, len(taken)) == ("unreachable", 10)  # after two outer iterations
    assert all(step.codes.isfinite().all() for step in taken)


def test_sampling_that_gives_nothing_for_long_has_stalled() -> None:
    """Seeds inside, then a network in which nothing is: 100 steps without a sample end it."""
    toy = Linear(TWO_RANGES, random_seed=2)
    paper = toy.paper()
    state, taken = walk(paper, 30)
    assert is_sampling(taken[-1])
    toy.v += 1000
    state, taken = walk(paper, 500, state._replace(idle=torch.zeros_like(state.idle)))
    assert (state.phase, len(taken), state.idle.tolist()) == ("stalled", 100, [100])
    assert not any(len(step.samples) for step in taken)
