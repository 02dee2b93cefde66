"""Ascent in the code (eq. 3 without its regulariser), which tells what ranges can be reached."""

from __future__ import annotations

import torch
from torch import Tensor

from invset.core.ascent import ascend
from invset.core.problem import Problem
from tests.toys import as_images, problem_of


def hills(code_bounds: tuple[float, float] | None = None) -> Problem:
    """f₁ = 5 − ‖c − (1, 2, 3)‖², f₂ = c₁: a summit of 5, and a slope without one."""
    summit = torch.tensor([1.0, 2.0, 3.0])

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, torch.stack([5 - (c - summit).square().sum(dim=1), c[:, 0]], dim=1)

    return problem_of(as_images, read, code_bounds=code_bounds)


def test_ascent_finds_the_summit_of_the_activation_asked_for() -> None:
    starts = torch.tensor([[0.0, 0.0, 0.0], [4.0, -1.0, 2.0]])
    reach = ascend(hills(), starts, 0, 2.0, 200)
    torch.testing.assert_close(reach.activations, torch.tensor([5.0, 5.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(reach.codes, torch.tensor([[1.0, 2.0, 3.0]] * 2), atol=0.05, rtol=0)
    assert torch.equal(hills().evaluate(reach.codes).activations[:, 0], reach.activations)


def test_ascent_is_never_below_its_start_and_stays_within_the_bounds() -> None:
    starts = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    reach = ascend(hills((0.0, 2.0)), starts, 1, 2.0, 60)
    assert reach.activations.tolist() == [2.0, 2.0]
    assert reach.codes[:, 0].tolist() == [2.0, 2.0]
    nothing = ascend(hills(), starts, 0, 2.0, 0)
    assert torch.equal(nothing.codes, starts)
    assert torch.equal(nothing.activations, hills().evaluate(starts).activations[:, 0])
