"""Where chains start, and start anew."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core import chains
from invset.core.problem import Problem
from invset.core.region import Region
from tests.toys import as_images, problem_of


def relu_problem() -> Problem:
    """Behind a ReLU that is off no step leads anywhere."""
    return problem_of(as_images, lambda images: (images.flatten(1), images.flatten(1)[:, :1].relu()))


def test_starts_without_a_gradient_are_drawn_again() -> None:
    """The first start that is awake is taken."""

    def draw(chain: int, attempt: int) -> Tensor:
        return torch.tensor([0.5 if attempt >= 2 * chain else -0.5, 0.1 * chain, float(attempt)])

    started = chains.start(relu_problem(), Region.two_sided([(2.0, 3.0)]), draw, 3)
    assert started.attempts.tolist() == [0, 2, 4]
    assert torch.equal(started.codes, torch.stack([draw(0, 0), draw(1, 2), draw(2, 4)]))


def test_a_range_that_dead_starts_already_lie_in_needs_no_gradient() -> None:
    """f = 0 behind the ReLU is in [−1, 1]: nothing to wake."""
    region = Region.two_sided([(-1.0, 1.0)])
    assert chains.start(relu_problem(), region, lambda k, a: -torch.ones(3), 2).attempts.tolist() == [0, 0]


def test_start_codes_keep_to_the_bounds() -> None:
    """Seeds that are feasible where they start would otherwise be samples out of bounds."""
    problem = problem_of(as_images, lambda images: (images.flatten(1),) * 2, code_bounds=(-0.5, 0.5))
    region = Region.two_sided([(-4.0, 4.0)] * 3)
    started = chains.start(problem, region, lambda k, a: torch.tensor([0.0, 5.0, -7.0]), 3)
    assert torch.equal(started.codes, torch.tensor([[0.0, 0.5, -0.5]] * 3))
