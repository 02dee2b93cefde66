"""Runs of `method=multistart`: its weight where starts are alike, how a range is filled, how runs end."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invset.core.multistart import Multistart
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.metrics.filling import uniform_distance
from tests.toys import Linear, as_images, is_sampling, problem_of, samples, walk


@pytest.mark.parametrize("chains", [1, 4])
def test_starts_that_are_alike_leave_the_weight_to_unrelated_codes(chains: int) -> None:
    """Against autograd at the references: what each start feels of the others would be next to nothing, or nothing."""
    toy = Linear(random_seed=3)
    toy.draw = lambda chain, attempt: toy.starts[0] + 1e-6 * toy.starts[chain + attempt]  # type: ignore[method-assign]
    codes = toy.references.clone().requires_grad_(True)
    encodings, activations = toy.read(toy.generate(codes))
    others = (encodings[:, None] - encodings[None]).square().sum() / (len(codes) - 1)
    (apart,) = torch.autograd.grad(max(chains - 1, 1) * others, codes, retain_graph=True)
    (towards,) = torch.autograd.grad(10 / toy.region.half_width * activations.sum(), codes)
    outside = (activations != toy.region.project(activations)).flatten()
    expected = 0.4 * (towards.norm(dim=1) / apart.norm(dim=1))[outside].median()
    assert toy.multistart(chains=chains).begin().weight.tolist() == pytest.approx([float(expected)], rel=1e-5)


@pytest.mark.parametrize("random_seed", range(2))
def test_an_even_range_is_filled_evenly(random_seed: int) -> None:
    """Each tenth of it, from the first samples on; those of the middle half are in one half of it."""
    n, toy = 100, Linear(random_seed=random_seed)

    def sampled(even: bool) -> Tensor:
        return samples(walk(toy.multistart(even=even, chains=5), n + 60)[1])[2][:n, 0]

    filled = sampled(True)
    for count in (n // 2, n):
        counts = filled[:count].histc(10, 20, 24)
        assert counts.sum() == count
        assert (counts - count / 10).abs().max() <= 2
    assert uniform_distance(filled, 20, 24) < 0.1
    assert uniform_distance(sampled(False), 20, 24) > 0.25


def tanh(activation_range: tuple[float, float], even: bool = False, chains: int = 3) -> Multistart:
    """f = 3 tanh(c₁)."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, 3 * torch.tanh(c[:, :1])

    def draw(chain: int, attempt: int) -> Tensor:
        return torch.randn(3, generator=torch.Generator().manual_seed(100 * chain + attempt)) / 4

    references = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    schedule = Schedule(chains=chains, inner_steps=20)
    return Multistart(
        problem_of(as_images, read), Region.two_sided([activation_range]), schedule, draw, references, even
    )


@pytest.mark.parametrize(("chains", "starts"), [(1, 4), (3, 4), (5, 2), (10, 1)])
def test_an_unreachable_range_is_a_result(chains: int, starts: int) -> None:
    """After ten starts that get no nearer, or four of each chain, of at most 20 steps."""
    state, taken = walk(tanh((4.0, 5.0), chains=chains), 5000)
    assert state.phase == "unreachable"
    assert 20 * (starts - 1) < len(taken) <= 20 * starts
    assert not any(is_sampling(step) or len(step.samples) for step in taken)
    assert 2.9 < max(float(step.evaluation.activations.max()) for step in taken) <= 3


def test_chains_that_still_get_nearer_are_waited_for() -> None:
    """Of f = |c|² only the square root grows by even steps: none is near after its first start, and all come nearer."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, c.square().sum(dim=1, keepdim=True)

    near = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    region, schedule = Region.two_sided([(200.0, 210.0)]), Schedule(chains=10, inner_steps=40)
    method = Multistart(problem_of(as_images, read), region, schedule, lambda chain, _: near[chain % 8] / 4, near)
    _, taken = walk(method, 300, until=is_sampling)
    assert is_sampling(taken[-1])
    assert len(taken) > 20, "two windows have passed"


def test_what_is_never_reached_in_an_even_range_does_not_stop_it() -> None:
    """The upper half of [2, 4] cannot be filled; the lower is, and hardly unevenly."""
    state, taken = walk(tanh((2.0, 4.0), even=True), 300)
    activations = samples(taken)[2]
    assert state.phase == "sampling"
    assert len(activations) > 45
    assert (activations <= 3).all()
    counts = activations[:, 0].clamp(max=2.999).histc(10, 2, 4)[:5]
    assert counts[:4].min() > len(activations) / 12


def test_a_network_that_no_longer_answers_has_stalled() -> None:
    toy = Linear(random_seed=1)
    method = toy.multistart(inner_steps=10)
    state, taken = walk(method, 60)
    assert is_sampling(taken[-1])
    toy.v += 1000
    state, taken = walk(method, 500, state._replace(idle=torch.zeros_like(state.idle)))
    assert (state.phase, len(taken)) == ("stalled", 40)
