"""Runs of `method=paper` (secs. 3.3–3.5): what has to hold of every one of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.sampling import PATIENCE
from invset.core.seeding import Schedule
from invset.core.state import State
from invset.run.states import pack, unpack

TWO_RANGES = ((8.0, 12.0), (-9.0, -6.0))


def tensors(state: State) -> dict[str, Tensor]:
    return pack(state)[0]


def same_bits(a: State, b: State) -> None:
    ours, theirs = pack(a), pack(b)
    assert ours[0].keys() == theirs[0].keys()
    for name, tensor in ours[0].items():
        assert torch.equal(tensor.nan_to_num(7.0), theirs[0][name].nan_to_num(7.0)), name
        assert tensor.dtype == theirs[0][name].dtype, name
    assert repr(ours[1]) == repr(theirs[1])


# Scale freedom: nothing in the schedule may have to be changed when units change.


@pytest.mark.parametrize("ranges", [((20.0, 24.0),), TWO_RANGES], ids=["p=1", "p=2"])
@pytest.mark.parametrize(
    "factors",
    [(1e3, 1, 1), (1e-3, 1, 1), (1, 1e3, 1), (1, 1e-3, 1), (1, 1, 1e3), (1, 1, 1e-3), (1e3, 1e-3, 1e3)],
    ids=str,
)
def test_other_units_give_the_same_run(
    factors: tuple, ranges: tuple, linear: type, exact: Callable, walk: Callable
) -> None:
    """Codes, encodings and activations times constants: the same decisions, the same codes in other units."""
    c, e, f = factors
    schedule = {"chains": 3, "inner_steps": 10}
    method = linear(ranges=ranges, random_seed=2).paper(**schedule)
    plain = walk(method, 40, exact(method.begin()))
    toy = linear(ranges=ranges, random_seed=2, code_scale=c, encoding_scale=e, activation_scale=f)
    method = toy.paper(**schedule)
    scaled = walk(method, 40, exact(method.begin()))
    assert sum(info.phase == "sampling" for info in plain[1]) > 10
    for ours, expected in zip(scaled[1], plain[1], strict=True):
        assert ours.phase == expected.phase
        assert torch.equal(ours.feasible, expected.feasible)
        assert torch.equal(ours.samples, expected.samples)
        torch.testing.assert_close(ours.codes / c, expected.codes, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(ours.evaluation.encodings / e, expected.evaluation.encodings, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(ours.lengths / c, expected.lengths, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(ours.violation / f, expected.violation, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(ours.multipliers.values, expected.multipliers.values, rtol=1e-6, atol=1e-7)


# The constraints.


@pytest.mark.parametrize("random_seed", range(4))
@pytest.mark.parametrize("ranges", [TWO_RANGES, ((8.0, 12.0), (-6.0, -3.0), (0.0, 3.0))], ids=["p=2", "p=3"])
def test_every_sample_of_an_intersection_holds_every_constraint(
    ranges: tuple, random_seed: int, linear: type, walk: Callable, samples: Callable
) -> None:
    """Eqs. 12, 13."""
    toy = linear(ranges=ranges, random_seed=random_seed)
    _, codes, activations = samples(walk(toy.paper(chains=4), 300)[1])
    assert len(codes) > 100
    f = (codes @ toy.A.T + toy.a) @ toy.V.T + toy.v
    torch.testing.assert_close(activations, f, rtol=1e-10, atol=1e-10)
    for j, (z1, z2) in enumerate(ranges):
        assert ((f[:, j] >= z1) & (f[:, j] <= z2)).all()


def test_eq_10_lower_only_holds_z1_and_may_exceed_z2(linear: type, walk: Callable, samples: Callable) -> None:
    _, _, activations = samples(walk(linear(lower_only=True).paper(chains=3), 400)[1])
    assert len(activations) > 100
    assert (activations >= 20).all()
    assert (activations > 24).any()


@pytest.mark.parametrize("random_seed", range(6))
@pytest.mark.parametrize("ranges", [((20.0, 24.0),), TWO_RANGES, ((8.0, 12.0), (-3.0, 3.0))], ids=str)
def test_no_chain_is_left_outside_for_good(ranges: tuple, random_seed: int, linear: type, walk: Callable) -> None:
    """Sec. 3.4: what goes outside is pushed back, also where the objective has outgrown the penalty μ*.

    Codes drift outwards without end here, and μ* stays. A chain at whose place −∂L/∂c points further out would, its
    steps halved as often as they fail, stop there.
    """
    toy = linear(ranges=ranges, random_seed=random_seed)
    state, infos = walk(toy.paper(chains=3), 400)
    assert len(infos) == 400
    assert state.phase == "sampling"
    last = torch.stack([info.feasible for info in infos[-100:]])
    assert last.any(dim=0).all()
    assert state.steps.damping.min() > 0.05


def test_samples_become_c0_and_lambda_and_mu_stay(linear: type, walk: Callable) -> None:
    """Eq. 11, steps 4 and 5 of sec. 3.4: feasible codes are C₀ for the next step; all go on."""
    toy = linear(ranges=TWO_RANGES, random_seed=2)
    paper = toy.paper(chains=3, inner_steps=4)
    state = paper.begin()
    multipliers, rejected, count = None, 0, 0
    for _ in range(60):
        before = state
        state, info = paper.step(before)
        if info.phase == "seeding":
            assert not len(info.samples)
            assert state.previous.size == 0
            continue
        multipliers = multipliers or info.multipliers
        count += 1
        assert state.inner == count
        assert torch.equal(info.multipliers.values, multipliers.values)
        assert info.multipliers.penalty == multipliers.penalty
        assert info.samples.tolist() == info.feasible.nonzero().flatten().tolist()
        if len(info.samples):
            assert state.previous.size == len(info.samples)
            torch.testing.assert_close(state.previous.sum, info.evaluation.encodings[info.samples].sum(dim=0))
        else:
            assert torch.equal(state.previous.sum, before.previous.sum)
        rejected += 3 - len(info.samples)
        assert (info.codes != state.codes).any(dim=1).all()
    assert rejected > 0


# Ranges that cannot be reached.


def tanh_problem(slopes: Tensor, **options: Any) -> Problem:
    """f = slope(chain) · tanh(c₁): codes carry their chain in c₀, which nothing changes."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        slope = slopes[c[:, 0].detach().round().long() % len(slopes)]
        return c[:, 1:], (slope * torch.tanh(c[:, 1]))[:, None]

    return Problem(lambda c: c[:, :3, None, None], read, eight_bit=False, **options)


def paper_on(problem: Problem, ranges: list, chains: int, draw: Callable, **schedule: Any) -> Paper:
    references = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    return Paper(problem, Region.two_sided(ranges), Schedule(chains=chains, **schedule), draw, references)


def numbered_draw(chain: int, attempt: int) -> Tensor:
    code = torch.randn(3, generator=torch.Generator().manual_seed(100 * chain + attempt)) / 4
    code[0] = chain
    return code


def test_an_unreachable_range_is_a_result_with_what_came_closest(walk: Callable) -> None:
    """f = 3 tanh(c₁) stays below 3: [4, 5] cannot be reached, and the best there is comes near 3."""
    paper = paper_on(tanh_problem(torch.tensor([3.0])), [(4.0, 5.0)], 3, numbered_draw)
    state, infos = walk(paper, 5000)
    assert state.phase == "unreachable"
    assert not any(len(info.samples) for info in infos)
    best = max(float(info.evaluation.activations.max()) for info in infos)
    assert float(state.closest) == best
    assert 2.9 < best <= 3
    assert state.closest_violation == pytest.approx((4 - best) / 0.5, rel=1e-5)


def test_closest_is_one_code_that_does_best_on_all_constraints(linear: type, walk: Callable) -> None:
    """Two ranges of one and the same neuron that exclude each other: the sum of violations decides."""
    toy = linear(ranges=((0.0, 1.0), (11.0, 12.0)))
    toy.V[1], toy.v[1] = toy.V[0], toy.v[0]
    state, infos = walk(toy.paper(chains=3, inner_steps=20), 2000)
    assert state.phase == "unreachable"
    totals = torch.cat([(info.violation / 0.5).sum(dim=1) for info in infos])
    activations = torch.cat([info.evaluation.activations for info in infos])
    assert torch.equal(state.closest, activations[totals.argmin()])
    assert state.closest_violation == pytest.approx(20)  # at 1, at 11 or in between: 10 in all, in half widths


def test_a_range_that_only_some_chains_reach_is_still_sampled(walk: Callable) -> None:
    paper = paper_on(tanh_problem(torch.tensor([3.0, 0.1])), [(1.0, 2.0)], 4, numbered_draw, inner_steps=10)
    state, infos = walk(paper, 400)
    assert state.phase == "sampling"
    from_chain = torch.cat([info.samples for info in infos]).bincount(minlength=4)
    assert from_chain[0] > 50
    assert from_chain[2] > 50
    assert from_chain[1] == from_chain[3] == 0
    assert state.attempts.tolist()[1] > 0


def relu_problem() -> Problem:
    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c.relu(), c[:, :1].relu()

    return Problem(lambda c: c[:, :, None, None], read, eight_bit=False)


def test_starts_without_a_gradient_are_drawn_again(walk: Callable) -> None:
    """Behind a ReLU that is off no step leads anywhere: the first start that is awake is taken."""

    def draw(chain: int, attempt: int) -> Tensor:
        awake = attempt >= 2 * chain
        return torch.tensor([0.5 if awake else -0.5, 0.1 * chain, float(attempt)])

    paper = paper_on(relu_problem(), [(2.0, 3.0)], 3, draw)
    state = paper.begin()
    assert state.attempts.tolist() == [0, 2, 4]
    assert torch.equal(state.codes, torch.stack([draw(0, 0), draw(1, 2), draw(2, 4)]))
    state, infos = walk(paper, 30)
    assert sum(len(info.samples) for info in infos) > 30


def test_a_range_that_dead_starts_already_lie_in_needs_no_gradient() -> None:
    """f = 0 behind the ReLU is in [−1, 1]: nothing to wake."""
    paper = paper_on(relu_problem(), [(-1.0, 1.0)], 2, lambda k, a: -torch.ones(3) * (1 + k + a))
    assert paper.begin().attempts.tolist() == [0, 0]


def test_all_starts_dead_is_unreachable_and_not_an_endless_search(walk: Callable) -> None:
    paper = paper_on(relu_problem(), [(2.0, 3.0)], 2, lambda k, a: -torch.ones(3), inner_steps=5)
    state, infos = walk(paper, 200)
    assert state.phase == "unreachable"
    assert float(state.closest) == 0
    assert all(info.codes.isfinite().all() for info in infos)


def test_start_codes_keep_to_the_bounds() -> None:
    """Seeds that are feasible where they start would otherwise be samples out of bounds."""
    problem = tanh_problem(torch.tensor([3.0]), code_bounds=(-0.5, 0.5))
    paper = paper_on(problem, [(-4.0, 4.0)], 3, lambda k, a: torch.tensor([0.0, 5.0, -7.0]))
    assert torch.equal(paper.begin().codes, torch.tensor([[0.0, 0.5, -0.5]] * 3))


def test_sampling_that_gives_nothing_for_long_has_stalled(linear: type, walk: Callable) -> None:
    """Seeds inside, then a network in which nothing is: 100 steps without a sample end it."""
    toy = linear(ranges=TWO_RANGES, random_seed=2)
    paper = toy.paper(chains=3)
    state, infos = walk(paper, 30)
    assert infos[-1].phase == "sampling"
    toy.v += 1000
    state, infos = walk(paper, 500, state._replace(idle=0))
    assert state.phase == "stalled"
    assert len(infos) == PATIENCE
    assert state.idle == PATIENCE
    assert not any(len(info.samples) for info in infos)


# A state is all there is.


def test_a_step_changes_neither_the_state_it_is_given_nor_the_random_state(linear: type) -> None:
    toy = linear(ranges=TWO_RANGES)  # chains that are stuck start anew: every branch is passed
    paper = toy.paper(chains=3, inner_steps=4, outer_iterations=99)
    torch.manual_seed(5)
    random = torch.get_rng_state()
    state = paper.begin()
    for _ in range(60):
        before = copy.deepcopy(state)
        following, info = paper.step(state)
        again, _ = paper.step(state)
        same_bits(state, before)
        same_bits(following, again)
        assert torch.equal(info.codes, before.codes)
        state = following
    assert state.attempts.sum() > 0
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("at", [3, 100])
def test_two_hundred_steps_are_some_a_checkpoint_and_the_rest(at: int, linear: type, walk: Callable) -> None:
    """To the bit, with the checkpoint while seeding and while sampling."""
    make = lambda: linear(ranges=TWO_RANGES, random_seed=2).paper(chains=3)  # noqa: E731
    whole, infos = walk(make(), 200)
    assert infos[3].phase == "seeding"
    assert infos[100].phase == "sampling"
    half, _ = walk(make(), at)
    packed, values = pack(half)
    restored = unpack(State, {k: t.clone() for k, t in packed.items()}, copy.deepcopy(values), torch.device("cpu"))
    same_bits(restored, half)
    rest, later = walk(make(), 200 - at, restored)
    same_bits(rest, whole)
    for ours, expected in zip(later, infos[at:], strict=True):
        assert torch.equal(ours.codes, expected.codes)
        assert ours.samples.tolist() == expected.samples.tolist()


def test_chains_start_where_draw_says_whatever_the_batch(linear: type, walk: Callable) -> None:
    """The same run in micro-batches of 2, to rounding."""
    make = lambda b: linear(ranges=TWO_RANGES, random_seed=2).paper(chains=5, batch_size=b)  # noqa: E731
    (_, whole), (_, parts) = walk(make(None), 40), walk(make(2), 40)
    for ours, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours.codes, expected.codes, rtol=1e-7, atol=1e-8)
        assert ours.samples.tolist() == expected.samples.tolist()
