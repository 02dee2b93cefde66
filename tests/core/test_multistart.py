"""Runs of `method=multistart`: where chains go on from, what pushes them apart, how a range is filled."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from invset.core import descent, multistart
from invset.core.diversity import Moments
from invset.core.lagrangian import encoding_gradient
from invset.core.multistart import Multistart
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.core.state import State
from invset.metrics.filling import uniform_distance
from invset.run.states import pack, unpack

TWO_RANGES = ((8.0, 12.0), (-9.0, -6.0))


def same_bits(a: State, b: State) -> None:
    ours, theirs = pack(a), pack(b)
    for name, tensor in ours[0].items():
        assert torch.equal(tensor.nan_to_num(7.0), theirs[0][name].nan_to_num(7.0)), name
        assert tensor.dtype == theirs[0][name].dtype, name
    assert repr(ours[1]) == repr(theirs[1])


# Starts.


def test_a_chain_goes_on_from_a_new_start_displaced_by_a_share_of_its_way(linear: type) -> None:
    """c = c₀ + γ (c* − c₀*), with every part of it worked out from what is known outside the method."""
    toy = linear(ranges=TWO_RANGES, random_seed=1)
    method = toy.multistart(problem=toy.problem(code_bounds=(-3.0, 3.0)))
    state, renewed = method.begin(), 0
    for _ in range(80):
        before = state
        state, info = method.step(before)
        for chain in range(3):
            attempt = int(before.attempts[chain])
            if chain not in info.samples.tolist():
                assert int(state.attempts[chain]) == attempt
                assert int(state.lives.age[chain]) == int(before.lives.age[chain]) + 1
                continue
            way = info.codes[chain] - toy.draw(chain, attempt)
            expected = toy.draw(chain, attempt + 1) + float(state.lives.carry[chain]) * way
            torch.testing.assert_close(state.codes[chain], expected.clamp(-3, 3), rtol=1e-12, atol=1e-12)
            assert (int(state.attempts[chain]), int(state.lives.age[chain])) == (attempt + 1, 0)
            assert float(info.lengths[chain]) == 0
            assert math.isinf(float(state.steps.violation[chain]))
            renewed += 1
    assert renewed > 20


def test_every_sample_has_a_start_of_its_own(linear: type, walk: Callable) -> None:
    state, infos = walk(linear().multistart(), 100)
    assert int(state.attempts.sum()) == sum(len(info.samples) for info in infos) > 30


@pytest.mark.parametrize(("age", "factor"), [(0, -1.0), (3, -1 / 3), (6, 1 / 3), (9, 1.0), (50, 1.0)])
def test_what_is_taken_along_follows_the_steps_that_a_sample_took(age: int, factor: float, linear: type) -> None:
    """log γ moves by a tenth of how much too late the sample is, as a share of 4.5 steps; with no way, not."""
    method = linear().multistart()
    state = method.begin()
    way = torch.ones_like(state.codes)
    way[1] = 0
    state = state._replace(lives=state.lives._replace(age=torch.full((3,), age), way=way))
    arrived, renewed = torch.tensor([True, True, False]), torch.tensor([True, True, True])
    carry = method._renewed(state, state.codes + 1, arrived, renewed).lives.carry.tolist()
    assert carry == pytest.approx([0.5 * math.exp(0.1 * factor), 0.5, 0.5 * math.exp(0.1)])


def test_what_is_taken_along_is_between_a_hundredth_and_nine_tenths(linear: type) -> None:
    method = linear().multistart()
    state = method.begin()
    state = state._replace(lives=state.lives._replace(way=torch.ones_like(state.codes)))
    arrived = torch.tensor([True, True, True])
    for age, expected in ((90, 0.9), (0, 0.01)):
        for _ in range(80):
            state = state._replace(lives=state.lives._replace(age=torch.full((3,), age)))
            state = method._renewed(state, state.codes + 1, arrived, arrived)
        assert state.lives.carry.tolist() == pytest.approx([expected] * 3)


def test_a_chain_behind_a_relu_that_is_off_starts_anew_at_once_and_takes_more_of_its_way_along() -> None:
    """f = relu(c₁ − 1): of starts with a deviation of a quarter hardly any has a gradient; one way wakes the others."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, torch.relu(c[:, :1] - 1)

    method = on(Problem(lambda c: c[:, :, None, None], read, eight_bit=False), [(0.5, 1.0)])
    state = method.begin()
    codes = torch.tensor([[1.4, 0, 0]]).expand(3, 3).clone()
    state, samples, renewed = state._replace(codes=codes), 0, 0
    for _ in range(150):
        before = state
        state, info = method.step(before)
        samples += len(info.samples)
        asleep = ((info.evaluation.activations == 0) & (before.lives.seen == 0)).flatten()
        assert (state.attempts[asleep] == before.attempts[asleep] + 1).all()
        renewed += int(asleep.sum())
    assert samples > 100
    assert renewed > 10
    assert state.lives.carry.min() > 0.55


# The objective.


def test_the_objective_is_of_all_chains_and_all_samples_so_far(linear: type) -> None:
    """Against autograd of the sum over all pairs, written out, a typical pair of n weighing as one of K."""
    toy = linear(ranges=TWO_RANGES, random_seed=1)
    method = toy.multistart(chains=4)
    state, sampled = method.begin(), []
    for _ in range(40):
        state, info = method.step(state)
        sampled.append(info.evaluation.encodings[info.samples])
    past = torch.cat(sampled)
    assert len(past) > 8
    evaluation = toy.problem().evaluate(state.codes)
    _, view = descent.seen(toy.region, state, multistart.RELAXED, evaluation, Moments.of(evaluation.encodings))
    weighed = method._weighed(state)
    ours = encoding_gradient(
        view.evaluation.encodings, view.group.merge(state.previous), weighed.previous, weighed.scales
    )

    chains = view.evaluation.encodings.clone().requires_grad_(True)
    everyone = torch.cat([chains, past])
    pairs = (everyone[:, None] - everyone[None]).square().sum()
    n = len(everyone)
    weight = state.scales.objective * 3 / (n - 1)
    (expected,) = torch.autograd.grad(-weight * pairs, chains)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-8)


def test_a_scale_of_the_users_is_taken_as_it_is(linear: type) -> None:
    method = linear().multistart(objective_scale=7.0)
    assert method._weighed(method.begin()).scales.objective == 7.0


@pytest.mark.parametrize("chains", [1, 4])
def test_starts_that_are_alike_leave_the_weight_to_unrelated_codes(chains: int, linear: type) -> None:
    """Against autograd at the references: what each start feels of the others would be next to nothing, or nothing."""
    toy = linear(random_seed=3)
    toy.draw = lambda chain, attempt: toy.starts[0] + 1e-6 * toy.starts[chain + attempt]
    codes = toy.references.clone().requires_grad_(True)
    encodings, activations = toy.read(toy.generate(codes))
    others = (encodings[:, None] - encodings[None]).square().sum() / (len(codes) - 1)
    (apart,) = torch.autograd.grad(max(chains - 1, 1) * others, codes, retain_graph=True)
    (towards,) = torch.autograd.grad(10 / toy.region.half_width * activations.sum(), codes)
    outside = (activations != toy.region.project(activations)).flatten()
    expected = 0.4 * (towards.norm(dim=1) / apart.norm(dim=1))[outside].median()
    assert toy.multistart(chains=chains).begin().scales.objective == pytest.approx(float(expected), rel=1e-5)


def test_from_starts_that_are_alike_the_range_is_reached(linear: type, walk: Callable, samples: Callable) -> None:
    """A weight measured between them would be a million times too large, and no chain would come near the range."""
    toy = linear()
    toy.draw = lambda chain, attempt: toy.starts[attempt % 40] + 1e-6 * toy.starts[chain]
    _, infos = walk(toy.multistart(chains=4), 60)
    assert len(samples(infos)[1]) > 20


# Ranges.


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("random_seed", [1, 2, 3])
def test_every_sample_of_an_intersection_holds_every_constraint(
    random_seed: int, even: bool, linear: type, walk: Callable, samples: Callable
) -> None:
    toy = linear(ranges=TWO_RANGES, random_seed=random_seed)
    _, codes, activations = samples(walk(toy.multistart(even=even), 300)[1])
    assert len(codes) > 60
    f = (codes @ toy.A.T + toy.a) @ toy.V.T + toy.v
    torch.testing.assert_close(activations, f, rtol=1e-10, atol=1e-10)
    for j, (z1, z2) in enumerate(TWO_RANGES):
        assert ((f[:, j] >= z1) & (f[:, j] <= z2)).all()


def test_a_range_with_one_end_holds_it(linear: type, walk: Callable, samples: Callable) -> None:
    _, _, activations = samples(walk(linear(lower_only=True).multistart(), 200)[1])
    assert len(activations) > 50
    assert (activations >= 20).all()


@pytest.mark.parametrize("random_seed", range(4))
@pytest.mark.parametrize("n", [60, 120])
def test_an_even_range_is_filled_evenly(
    n: int, random_seed: int, linear: type, walk: Callable, samples: Callable
) -> None:
    """Each tenth of it, from the first samples on; those of the middle half are in one half of it."""
    toy = linear(random_seed=random_seed)
    filled = samples(walk(toy.multistart(even=True, chains=5), n + 60)[1])[2][:n, 0]
    entered = samples(walk(toy.multistart(even=False, chains=5), n + 60)[1])[2][:n, 0]
    assert len(filled) == len(entered) == n
    counts = torch.histc(filled.clamp(20, 24), 10, 20, 24)
    assert counts.sum() == n
    assert counts.min() >= n / 10 - 2
    assert counts.max() <= n / 10 + 2
    assert uniform_distance(filled, 20, 24) < 0.1
    assert uniform_distance(entered, 20, 24) > 0.25


def test_a_new_start_is_sent_to_the_nearest_of_the_parts_with_the_fewest_samples(linear: type) -> None:
    """Ten parts of [20, 24], 0.4 wide. Two chains are under way to [21.2, 21.6] and stay so; two are new."""
    method = linear().multistart(even=True, chains=4)
    lives = method.begin().lives._replace(
        filled=torch.tensor([[3.0, 3, 0, 0, 1, 0, 3, 3, 0, 3]]),
        goal=torch.tensor([[21.4], [torch.nan], [21.4], [torch.nan]], dtype=torch.float64),
        missed=torch.tensor([[0.0, 0, 1, 0, 0, 2, 0, 0, 0, 0]]),
    )
    aimed = method._wanting(lives, torch.tensor([[15.0], [21.9], [30.0], [20.1]], dtype=torch.float64))
    # With those under way and what was missed, the third to sixth count as 1, 2, 1 and 3, the ninth as none: it is the
    # second chain's. Then the third part is as empty as any, and nearest to the last chain.
    assert aimed.aim_lower.flatten().tolist() == pytest.approx([21.4, 23.4, 21.4, 21.0])
    assert aimed.lower.flatten().tolist() == pytest.approx([21.2, 23.2, 21.2, 20.8])
    assert aimed.upper.flatten().tolist() == pytest.approx([21.6, 23.6, 21.6, 21.2])


def test_a_part_is_missed_until_a_sample_lies_in_it(linear: type) -> None:
    """Two chains were to go to the third part of [20, 24], and gave samples there and in the fifth; one to the last."""
    method = linear().multistart(even=True)
    state = method.begin()
    state, view = look(method, state, torch.tensor([[21.0], [21.7], [23.5]]), [[21.0], [21.0], [23.8]])
    state = state._replace(lives=state.lives._replace(missed=torch.tensor([[0.0, 0, 5, 0, 5, 0, 0, 0, 5, 5]])))
    lives = method._counted(state, view, torch.tensor([0, 1])).lives
    assert lives.filled.tolist() == [[0, 0, 1, 0, 1, 0, 0, 0, 0, 0]]
    assert lives.missed.tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 5, 5]]
    lives = method._counted(state, view, torch.tensor([2])).lives
    assert lives.filled.tolist() == [[0, 0, 0, 0, 0, 0, 0, 0, 1, 0]]
    assert lives.missed.tolist() == [[0, 0, 5, 0, 5, 0, 0, 0, 0, 6]]


def look(method: Multistart, state: State, activations: Tensor, goal: list) -> tuple[State, descent.View]:
    """What the chains give, if these were their activations and goals."""
    evaluation = method.problem.evaluate(state.codes)._replace(activations=activations.double())
    aimed = method.region.around(torch.tensor(goal, dtype=torch.float64), 0.1)
    group = Moments.of(evaluation.encodings)
    return descent.seen(method.region, state, multistart.RELAXED, evaluation, group, part=lambda _: aimed)


def tanh_problem(height: float) -> Problem:
    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, height * torch.tanh(c[:, :1])

    return Problem(lambda c: c[:, :, None, None], read, eight_bit=False)


def on(problem: Problem, ranges: list, even: bool = False, **schedule: int) -> Multistart:
    def draw(chain: int, attempt: int) -> Tensor:
        return torch.randn(3, generator=torch.Generator().manual_seed(100 * chain + attempt)) / 4

    references = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    schedule = {"chains": 3, "inner_steps": 20, **schedule}
    return Multistart(problem, Region.two_sided(ranges), Schedule(**schedule), draw, references, even)


def test_an_unreachable_range_is_a_result_with_what_came_closest(walk: Callable) -> None:
    """f = 3 tanh(c₁) stays below 3; each chain has four starts of 20 steps."""
    state, infos = walk(on(tanh_problem(3.0), [(4.0, 5.0)]), 5000)
    assert (state.phase, len(infos)) == ("unreachable", 80)
    assert all(info.phase == "seeding" and not len(info.samples) for info in infos)
    assert state.attempts.tolist() == [4, 4, 4]
    assert 2.9 < float(state.closest) <= 3


def test_what_is_never_reached_in_an_even_range_does_not_stop_it(walk: Callable, samples: Callable) -> None:
    """f = 3 tanh(c₁) in [2, 4]: the upper half cannot be filled; the lower is, and hardly unevenly."""
    state, infos = walk(on(tanh_problem(3.0), [(2.0, 4.0)], even=True), 400)
    activations = samples(infos)[2]
    assert state.phase == "sampling"
    assert len(activations) > 60
    assert (activations <= 3).all()
    counts = torch.histc(activations[:, 0].clamp(2, 2.999), 10, 2, 4)[:5]
    assert counts[:4].min() > len(activations) / 8


def test_a_network_that_no_longer_answers_has_stalled(linear: type, walk: Callable) -> None:
    toy = linear(random_seed=1)
    method = toy.multistart(inner_steps=10)
    state, _ = walk(method, 60)
    assert state.phase == "sampling"
    toy.v += 1000
    state, infos = walk(method, 500, state._replace(idle=0))
    assert (state.phase, len(infos)) == ("stalled", 40)


# Units, and a state is all there is.


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("factors", [(1e3, 1, 1), (1, 1e-3, 1), (1, 1, 1e3), (1e-3, 1e3, 1e-3)], ids=str)
def test_other_units_give_the_same_run(
    factors: tuple, even: bool, linear: type, exact: Callable, walk: Callable
) -> None:
    c, e, f = factors
    method = linear(ranges=TWO_RANGES, random_seed=2).multistart(even=even)
    plain = walk(method, 60, exact(method.begin()))[1]
    toy = linear(ranges=TWO_RANGES, random_seed=2, code_scale=c, encoding_scale=e, activation_scale=f)
    method = toy.multistart(even=even)
    scaled = walk(method, 60, exact(method.begin()))[1]
    assert sum(len(info.samples) for info in plain) > 10
    for ours, expected in zip(scaled, plain, strict=True):
        assert ours.samples.tolist() == expected.samples.tolist()
        torch.testing.assert_close(ours.codes / c, expected.codes, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(ours.lengths / c, expected.lengths, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("even", [False, True])
def test_a_step_changes_neither_the_state_it_is_given_nor_the_random_state(even: bool, linear: type) -> None:
    method = linear(ranges=TWO_RANGES).multistart(even=even, inner_steps=4)  # some chains take too long
    torch.manual_seed(5)
    random = torch.get_rng_state()
    state = method.begin()
    for _ in range(60):
        before = copy.deepcopy(state)
        following, _ = method.step(state)
        again, _ = method.step(state)
        same_bits(state, before)
        same_bits(following, again)
        state = following
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("even", [False, True])
def test_a_hundred_steps_are_some_a_checkpoint_and_the_rest(even: bool, linear: type, walk: Callable) -> None:
    make = lambda: linear(ranges=TWO_RANGES, random_seed=2).multistart(even=even)  # noqa: E731
    whole, infos = walk(make(), 100)
    half, _ = walk(make(), 37)
    tensors, values = pack(half)
    restored = unpack(State, {k: t.clone() for k, t in tensors.items()}, copy.deepcopy(values), torch.device("cpu"))
    same_bits(restored, half)
    rest, later = walk(make(), 63, restored)
    same_bits(rest, whole)
    assert [info.samples.tolist() for info in later] == [info.samples.tolist() for info in infos[37:]]


def test_micro_batches_give_the_same_run(linear: type, walk: Callable) -> None:
    make = lambda b: linear(ranges=TWO_RANGES, random_seed=2).multistart(chains=5, batch_size=b)  # noqa: E731
    whole, parts = walk(make(None), 40)[1], walk(make(2), 40)[1]
    for ours, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours.codes, expected.codes, rtol=1e-7, atol=1e-8)
        assert ours.samples.tolist() == expected.samples.tolist()
