"""A penalty of fixed weight: its gradient by autograd, and where it leads."""

from __future__ import annotations

import pytest
import torch

from invset.core.region import Region
from invset.errors import ConfigError
from tests.makers import penalty
from tests.toys import Tiny, walk


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("diversity", [0.0, 0.7])
def test_a_step_goes_down_the_gradient_of_l(power: int, diversity: float) -> None:
    """L written out over all pairs, its gradient by autograd; the length is the setting's."""
    toy = Tiny(units=(2, 0), ranges=((-0.25, 0.25), (1.0, 1.5)))
    method = penalty(toy, weight=2.5, power=power, diversity=diversity, step=0.05, end_step=None)
    state = method.begin()
    codes = state.codes.clone().requires_grad_(True)
    encodings, f = toy.read(toy.generate(codes))
    middle, half = torch.tensor([0.0, 1.25]).double(), torch.tensor([0.25, 0.25]).double()
    pairs = sum((encodings[i] - encodings[j]).square().sum() for i in range(3) for j in range(3))
    weight = 1 / (2 * 2 * torch.pdist(toy.read(toy.generate(toy.references))[0]).median() ** 2)  # as in eq. 6 here
    loss = 2.5 * ((f - middle) / half).abs().pow(power).sum() - diversity * weight * pairs
    (gradient,) = torch.autograd.grad(loss, codes)
    length = 0.05 * torch.pdist(toy.references).median()
    following, step = method.step(state)
    expected = state.codes - length * gradient / gradient.norm(dim=1, keepdim=True)
    torch.testing.assert_close(following.codes, expected)
    torch.testing.assert_close(step.lengths, length.expand(3))


@pytest.mark.parametrize("target", [None, [1.0]])
def test_the_penalty_alone_leads_to_its_target(target: list | None) -> None:
    _, taken = walk(penalty(Tiny(), diversity=0.0, target=target, end_step=0.0, steps=200), 200)
    aim = 1.1875 if target is None else 1.0
    assert (taken[-1].evaluation.activations - aim).abs().max() < 0.01
    assert (taken[0].evaluation.activations - aim).abs().max() > 0.2


def test_eqs_8_to_11_have_the_same_target() -> None:
    toy = Tiny()
    toy.region = Region.lower_only([(0.1, 0.5)])
    assert penalty(toy).target.tolist() == pytest.approx([0.3])


def test_every_unit_has_one_target() -> None:
    with pytest.raises(ConfigError, match="2 targets for 1 units"):
        penalty(Tiny(), target=[1.0, 2.0])
