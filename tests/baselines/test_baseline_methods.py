"""What has to hold of every baseline as a `Method`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from invset.baselines.chains import Plan
from invset.core.problem import Problem
from invset.core.state import State, StepInfo
from invset.errors import ConfigError, NonFiniteError
from invset.run import checkpoint
from invset.run.states import pack, unpack

CPU = torch.device("cpu")


def same_bits(ours: State | StepInfo, theirs: State | StepInfo) -> None:
    (tensors, values), (others, other_values) = pack(ours), pack(theirs)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor.nan_to_num(7.0), others[name].nan_to_num(7.0)), name
        assert tensor.dtype == others[name].dtype, name
    assert repr(values) == repr(other_values)


def saved_and_loaded(state: State, path: Path) -> State:
    checkpoint.save(path, *pack(state))
    return unpack(State, *checkpoint.load(path), CPU)


@pytest.mark.parametrize("stop", [0, 1, 3, 4, 5, 8])
def test_a_run_resumed_from_any_state_gives_the_same_bits(maker, stop: int, walk: Callable, tmp_path: Path) -> None:
    """Over the ends of rounds too, by a method made afresh, as in another process; passes are counted the same."""
    problem, again = maker.toy.problem(), maker.toy.problem()
    whole, infos = walk(maker.make(problem), 11)
    assert len(infos) == 11
    half, _ = walk(maker.make(again), stop)
    resumed = maker.toy.problem()
    resumed.forward_passes, resumed.backward_passes = again.forward_passes, again.backward_passes
    state, rest = walk(maker.make(resumed), 11 - stop, saved_and_loaded(half, tmp_path / "checkpoint"))
    same_bits(state, whole)
    for ours, theirs in zip(rest, infos[stop:], strict=True):
        same_bits(ours, theirs)
    assert (resumed.forward_passes, resumed.backward_passes) == (problem.forward_passes, problem.backward_passes)


def test_samples_are_the_codes_in_range(maker, walk: Callable) -> None:
    """By the rule of the paper's method; images, encodings and activations are those of the codes reported."""
    _, infos = walk(maker.make(), 24)
    assert len(infos) == (14 if maker.name == "search" else 24), "while there are samples, it goes on"
    region, checker = maker.toy.region, maker.toy.problem()
    p = len(region.lower)
    for info in infos:
        found = checker.evaluate(info.codes)
        torch.testing.assert_close(info.evaluation.images, found.images)
        torch.testing.assert_close(info.evaluation.encodings, found.encodings)
        torch.testing.assert_close(info.evaluation.activations, found.activations[:, :p])
        f = info.evaluation.activations
        inside = ((f >= region.lower) & (f <= region.upper)).all(dim=1)
        assert torch.equal(info.feasible, inside)
        assert info.samples.tolist() == inside.nonzero().flatten().tolist()
        assert torch.equal(info.violation, region.violation(f))
        assert info.phase == "sampling"
    assert sum(len(info.samples) for info in infos) > 0
    assert not all(info.feasible.all() for info in infos)


def test_a_step_is_one_forward_and_one_backward_pass_a_chain(maker, walk: Callable) -> None:
    problem = maker.toy.problem()
    method = maker.make(problem)
    state = method.begin()
    for _ in range(6):
        before = problem.forward_passes, problem.backward_passes
        state, info = method.step(state)
        forward, backward = problem.forward_passes - before[0], problem.backward_passes - before[1]
        k = len(info.codes)
        expected = {"search": (k, 0), "pixel_ascent": (2 * k, k)}.get(maker.name, (k, k))  # jitter looks twice
        assert (forward, backward) == expected


def test_a_step_leaves_the_state_it_was_given_as_it_was(maker) -> None:
    method = maker.make()
    state = method.begin()
    for _ in range(6):
        before = copy.deepcopy(state)
        following, _ = method.step(state)
        same_bits(state, before)
        state = following


def test_rounds_end_and_begin_anew(maker, walk: Callable) -> None:
    """Steps are counted on, starts are new, and after the last round it is done."""
    if maker.name == "search":
        pytest.skip("has no rounds")
    endless = maker.make()
    inner = endless.ascent if maker.name == "mfv" else endless
    inner.plan = inner.plan._replace(rounds=3)
    state, infos = walk(endless, 100)
    assert state.phase == "done"
    assert [info.step for info in infos] == list(range(12))
    assert [info.outer for info in infos] == [0] * 4 + [1] * 4 + [2] * 4
    starts = [infos[i].codes for i in (0, 4, 8)]
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])
    for before, after in pairwise(infos):
        if after.step % 4:
            moved = (after.codes - before.codes).norm(dim=1)
            torch.testing.assert_close(before.lengths.to(moved), moved)


def test_last_only_takes_what_a_round_ends_with(maker, walk: Callable) -> None:
    if maker.name == "search":
        pytest.skip("has no rounds")
    _, all_of_them = walk(maker.make(), 12)
    method = maker.make(take="last_only")
    _, infos = walk(method, 12)
    for info, other in zip(infos, all_of_them, strict=True):
        assert torch.equal(info.feasible, other.feasible)
        assert torch.equal(info.samples, other.samples if info.step % 4 == 3 else other.samples[:0])


def test_a_method_that_finds_nothing_stalls_and_says_what_came_closest(maker, walk: Callable) -> None:
    """Three rounds without a sample; search is done when the images are through."""
    method = maker.make()
    ascent = getattr(method, "ascent", method)
    region = ascent.region
    far = type(region)(region.lower + 1e3, region.upper + 1e3, region.aim_lower, region.aim_upper, region.half_width)
    method.region = ascent.region = far
    state, infos = walk(method, 100)
    assert state.phase == ("done" if maker.name == "search" else "stalled")
    assert len(infos) == (14 if maker.name == "search" else 12)
    totals = torch.cat([(info.violation / far.half_width).sum(dim=1) for info in infos])
    activations = torch.cat([info.evaluation.activations for info in infos])
    assert torch.equal(state.closest, activations[totals.argmin()])
    assert state.closest_violation == float(totals.min())


@pytest.mark.parametrize("where", ["activations", "encodings", "gradient"])
def test_nan_is_an_error_of_ours(maker, where: str, walk: Callable) -> None:
    plain = maker.toy.problem()

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            return gradient * torch.nan

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        encodings, activations = plain.read(images)
        if where == "gradient":
            return encodings, Poison.apply(activations)
        if where == "encodings":
            return encodings * torch.nan, activations
        return encodings, activations * torch.nan

    problem = Problem(plain.generate, read, eight_bit=False, code_bounds=plain.code_bounds)
    method = maker.make(problem)
    if maker.name == "search" and where == "gradient":
        walk(method, 3)  # takes none
        return
    with pytest.raises(NonFiniteError):
        walk(method, 3)


def test_chains_do_not_depend_on_each_other(maker, walk: Callable) -> None:
    """The first chain of three goes where it goes alone; nor does it matter how many go through at once."""
    if not maker.alone:
        pytest.skip("its chains are one problem")
    together, alone = walk(maker.make(), 3)[1], walk(maker.make(chains=1), 3)[1]
    batched = walk(maker.make(batch_size=2), 3)[1]
    for ours, single, parts in zip(together, alone, batched, strict=True):
        torch.testing.assert_close(ours.codes[:1], single.codes, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(ours.codes, parts.codes, rtol=1e-9, atol=1e-12)
    assert not torch.equal(together[-1].codes[0], together[-1].codes[1])


def test_bounds_hold_from_the_start(maker, walk: Callable) -> None:
    if maker.name == "search":
        pytest.skip("moves nothing")
    problem = maker.toy.problem(code_bounds=(0.1, 0.6))
    _, infos = walk(maker.make(problem), 9)
    for info in infos:
        assert info.codes.min() >= 0.1
        assert info.codes.max() <= 0.6


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rounds": 0}, {"take": "best"}])
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict, tiny: type, dgn_am: Callable) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        dgn_am(tiny(), **wrong)


def test_the_plan_of_the_comparison_is_ten_chains_of_200_steps() -> None:
    """Table 1: 2,000 images, once."""
    from invset.baselines.ppgn import PpgnSettings

    plan = Plan()
    settings = PpgnSettings()
    assert (plan.chains, settings.steps, settings.rounds, settings.take) == (10, 200, 1, "every_step")
