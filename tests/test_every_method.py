"""What has to hold of every method: the paper's, and those it is compared with."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core.method import ACTIVE, Renewing
from invset.core.problem import Problem
from invset.errors import NonFiniteError
from invset.run import checkpoint
from tests.makers import CORE, MAKERS, STUCK, Maker
from tests.toys import assert_same_bits, assert_same_run, is_sampling, problem_of, walk

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    return request.param


@pytest.mark.parametrize("maker", [*MAKERS, STUCK], ids=lambda maker: maker.name)
def test_a_step_changes_neither_the_state_it_is_given_nor_the_random_state(maker: Maker) -> None:
    """A state is all there is: asked again, a method takes the same step."""
    torch.manual_seed(5)
    random = torch.get_rng_state()
    method = maker()
    state = method.begin()
    for _ in range(30):
        before = copy.deepcopy(state)
        following, step = method.step(state)
        again, _ = method.step(state)
        assert_same_bits(state, before)
        assert_same_bits(following, again)
        assert step.number == state.step
        state = following
        if state.phase not in ACTIVE:
            break
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("share", [0, 0.1, 0.6, 0.9])
def test_a_run_is_some_steps_a_checkpoint_and_the_rest(maker: Maker, share: float, tmp_path: Path) -> None:
    """To the bit, by a method made afresh, over the ends of rounds and outer iterations; passes are counted alike."""
    whole, half, rest = maker.toy.problem(), maker.toy.problem(), maker.toy.problem()
    end, taken = walk(maker(whole), 30)
    at = round(share * len(taken))
    assert is_sampling(taken[-1])
    assert maker.name not in ("paper", "full") or share > 0.1 or not is_sampling(taken[at])
    state, _ = walk(maker(half), at)
    rest.passes.counts.forward, rest.passes.counts.backward = half.passes.counts.forward, half.passes.counts.backward
    (tmp_path / "checkpoint").write_bytes(checkpoint.write(*checkpoint.pack(state)))
    method = maker(rest)
    restored = checkpoint.unpack(method.State, *checkpoint.load(tmp_path / "checkpoint"), torch.device("cpu"))
    assert_same_bits(restored, state)
    last, later = walk(method, 30 - at, restored)
    assert_same_bits(last, end)
    for ours, theirs in zip(later, taken[at:], strict=True):
        assert_same_bits(ours, theirs)
    assert rest.passes.counts == whole.passes.counts


def test_samples_are_codes_in_range_and_what_a_step_says_is_of_its_codes(maker: Maker) -> None:
    region, checker, count = maker.toy.region, maker.toy.problem(), len(maker.toy.region.lower)
    _, taken = walk(maker(), 40)
    for step in taken:
        found = checker.evaluate(step.codes)
        f = step.evaluation.activations
        if len(step.evaluation.images):
            torch.testing.assert_close(step.evaluation.images, found.images)
        torch.testing.assert_close(step.evaluation.encodings, found.encodings)
        torch.testing.assert_close(f, found.activations[:, :count])
        inside = ((f >= region.lower) & (f <= region.upper)).all(dim=1)
        assert torch.equal(step.feasible, inside)
        assert torch.equal(step.violation, region.violation(f))
        expected = (inside & step.sampling).nonzero().flatten().tolist()
        if maker.name.startswith("multistart"):
            assert set(step.samples.tolist()) <= set(expected)
        else:
            assert step.samples.tolist() == expected
        assert not len(step.samples) or len(step.evaluation.images) == len(step.codes)
    assert sum(len(step.samples) for step in taken) > 0
    assert not all(step.feasible.all() for step in taken)


def test_a_step_is_one_forward_and_one_backward_pass_a_chain(maker: Maker) -> None:
    problem = maker.toy.problem()
    method = maker(problem)
    state, counts = method.begin(), problem.passes.counts
    for _ in range(6):
        before = counts.forward, counts.backward
        state, step = method.step(state)
        k = len(step.codes)
        expected = {"search": (k, 0), "pixel_ascent": (2 * k, k)}.get(maker.name, (k, k))  # jitter looks twice
        assert (counts.forward - before[0], counts.backward - before[1]) == expected


class Cramped:
    """The toy's generator on a device that has no memory for more than three codes at a time."""

    def __init__(self, toy: Any) -> None:
        self.generate = toy.generate
        self.refused = 0

    def __call__(self, codes: Tensor) -> Tensor:
        if len(codes) > 3:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.generate(codes)


@pytest.mark.parametrize("how", ["parts of 2", "little memory"])
def test_in_parts_a_run_is_the_same(maker: Maker, how: str) -> None:
    """To rounding; where memory runs out, batches are halved once and for all, from the first start on."""
    toy, more = maker.toy, {} if maker.name == "search" else {"chains": 7}
    cramped = Cramped(toy)
    small = problem_of(cramped, toy.read, code_bounds=toy.problem().code_bounds)
    _, expected = walk(maker(**more), 16)
    _, ours = walk(maker(toy.problem(2) if how == "parts of 2" else small, **more), 16)
    assert_same_run(ours, expected)
    if how == "little memory":
        assert 1 <= cramped.refused <= 3


SCALES = [(1e3, 1, 1), (1e-3, 1, 1), (1, 1e3, 1), (1, 1e-3, 1), (1, 1, 1e3), (1, 1, 1e-3), (1e3, 1e-3, 1e3)]
OTHER_UNITS = [
    pytest.param(maker, scales, id=f"{maker.name}-{scales}")
    for maker in MAKERS
    if maker.units is not None
    for scales in SCALES
    if maker in CORE or scales[1] == 1  # a baseline's encodings are in the units of codes
]


@pytest.mark.parametrize(("maker", "scales"), OTHER_UNITS)
def test_in_other_units_a_run_is_the_same(maker: Maker, scales: tuple[float, float, float]) -> None:
    """Codes, encodings and activations times constants: nothing has to be changed when units change."""
    _, expected = walk(maker(), 40)
    _, ours = walk(maker.in_other_units(*scales), 40)
    assert sum(len(step.samples) for step in expected) > 5
    assert_same_run(ours, expected, unit=scales[0], rtol=1e-7)


@pytest.mark.parametrize("maker", [one for one in MAKERS if one.name != "search"], ids=lambda maker: maker.name)
def test_bounds_hold_from_the_start(maker: Maker) -> None:
    low, high = (-1.5, 1.5) if maker in CORE else (0.1, 0.6)
    _, taken = walk(maker(maker.toy.problem(code_bounds=(low, high))), 12)
    codes = torch.cat([step.codes for step in taken])
    assert ((codes >= low) & (codes <= high)).all()
    assert ((codes == low) | (codes == high)).any()


class Poison(torch.autograd.Function):
    """NaN in place of the gradients of some rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.rows = rows
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.masked_fill(ctx.rows[:, None], torch.nan), None


def poisoned(toy: Any, where: str, share: float) -> Problem:
    """The toy's problem, with NaN in what it gives for a share of all codes, which is the same each time."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        encodings, activations = toy.read(images)
        rows = (images.detach().flatten(1).double().sum(dim=1) * 1e3) % 1 < share
        if where == "gradient":
            return encodings, Poison.apply(activations, rows)
        if where == "encodings":
            return encodings.masked_fill(rows[:, None], torch.nan), activations
        return encodings, activations.masked_fill(rows[:, None], torch.nan)

    return problem_of(toy.generate, read, code_bounds=toy.problem().code_bounds)


WHERE = ["activations", "encodings", "gradient"]


@pytest.mark.parametrize("where", WHERE)
def test_nan_for_all_codes_is_an_error_of_ours(maker: Maker, where: str) -> None:
    method = Renewing(maker(poisoned(maker.toy, where, 1.1)))
    if maker.name == "search" and where == "gradient":
        walk(method, 3)  # takes none
        return
    with pytest.raises(NonFiniteError):
        walk(method, 3)


@pytest.mark.parametrize("where", WHERE)
def test_nan_for_some_codes_ends_their_chains_and_not_the_run(maker: Maker, where: str, tmp_path: Path) -> None:
    """And some steps, a checkpoint and the rest are the same to the bit."""
    share = 0.004 if maker.name == "full" else 0.06  # of 70 codes, or of 3, at each step
    problem = poisoned(maker.toy, where, share)
    end, taken = walk(Renewing(maker(problem)), 30)
    assert sum(len(step.samples) for step in taken) > 0
    for step in taken:
        for values in (step.codes, *(value[step.samples] for value in step.evaluation)):
            assert values.isfinite().all()
    if maker.name != "search":
        assert problem.passes.counts.not_finite > 0
    state, _ = walk(Renewing(maker(poisoned(maker.toy, where, share))), 10)
    (tmp_path / "checkpoint").write_bytes(checkpoint.write(*checkpoint.pack(state)))
    rest = Renewing(maker(poisoned(maker.toy, where, share)))
    restored = checkpoint.unpack(rest.State, *checkpoint.load(tmp_path / "checkpoint"), torch.device("cpu"))
    last, _ = walk(rest, 20, restored)
    assert_same_bits(last, end)
