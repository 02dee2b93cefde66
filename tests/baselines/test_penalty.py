"""A penalty of fixed weight: its gradient by autograd, and where it leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from invset.core.region import Region
from invset.errors import ConfigError


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("diversity", [0.0, 0.7])
def test_a_step_goes_down_the_gradient_of_l(power: int, diversity: float, tiny: type, penalty: Callable) -> None:
    """L written out over all pairs, its gradient by autograd; the length is the setting's."""
    toy = tiny(units=(2, 0), ranges=((-0.3, 0.3), (1.0, 1.5)))
    method = penalty(toy, weight=2.5, power=power, diversity=diversity, step=0.05, end_step=None)
    state = method.begin()
    codes = state.codes.clone().requires_grad_(True)
    encodings, f = toy.read(toy.generate(codes))
    middle, half = torch.tensor([0.0, 1.25]).double(), torch.tensor([0.3, 0.25]).double()
    pairs = sum((encodings[i] - encodings[j]).square().sum() for i in range(3) for j in range(3))
    loss = 2.5 * ((f - middle) / half).abs().pow(power).sum() - diversity * state.scales.objective * pairs
    (gradient,) = torch.autograd.grad(loss, codes)
    length = 0.05 * torch.pdist(toy.references).median()
    following, info = method.step(state)
    expected = state.codes - length * gradient / gradient.norm(dim=1, keepdim=True)
    torch.testing.assert_close(following.codes, expected)
    torch.testing.assert_close(info.lengths, length.expand(3))


@pytest.mark.parametrize("target", [None, [1.0]])
def test_the_penalty_alone_leads_to_its_target(
    target: list | None, tiny: type, penalty: Callable, walk: Callable
) -> None:
    _, infos = walk(penalty(tiny(), diversity=0.0, target=target, end_step=0.0, steps=200), 200)
    aim = 1.2 if target is None else 1.0
    assert (infos[-1].evaluation.activations - aim).abs().max() < 0.01
    assert (infos[0].evaluation.activations - aim).abs().max() > 0.2


def test_eqs_8_to_11_have_the_same_target(tiny: type, penalty: Callable) -> None:
    toy = tiny()
    toy.region = Region.lower_only([(0.1, 0.5)])
    assert penalty(toy).target.tolist() == pytest.approx([0.3])


def test_what_makes_no_sense_is_refused(tiny: type, penalty: Callable) -> None:
    toy = tiny()
    for wrong in ({"power": 3}, {"weight": 0.0}, {"diversity": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            penalty(toy, **wrong)
    with pytest.raises(ConfigError, match="2 targets for 1 units"):
        penalty(toy, target=[1.0, 2.0])
    toy.region = Region.two_sided([(0.0, torch.inf)])
    with pytest.raises(ConfigError, match="without end"):
        penalty(toy)
