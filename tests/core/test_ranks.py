"""Several processes give what one gives, to rounding; one that fails, or is lost, leaves none of the others waiting."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.core.diversity import Moments
from invset.core.ranks import Ranks, SharedProblem
from invset.errors import RanksError

# Python 3.12 and later say so of any process with threads, as torch's and pytest-xdist's are.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

Work = Callable[[Ranks], Any]
METHODS = {
    "full": {"chains": 10, "inner_steps": 5, "outer_iterations": 99, "batch_size": 3},
    "paper": {"chains": 3, "inner_steps": 5, "outer_iterations": 99},  # fewer than four processes
    "multistart": {"chains": 7, "inner_steps": 20},
}
STEPS = 60
CLOSE = {"rtol": 1e-8, "atol": 1e-9}  # of float64, over all the steps


def at_once(size: int, folder: Path, work: Work) -> list[Any]:
    """What the work gives on each of so many processes, or the error that it raises there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)  # those of the parent are not here
            place = {"RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in place.items()})
            try:
                result = work(Ranks.join())
            except BaseException as error:
                result = error
            torch.save(result, folder / f"{rank}.pt")
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    files = [folder / f"{rank}.pt" for rank in range(size)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def walked(linear: type, name: str, walk: Callable, ranks: Ranks | None = None) -> Any:
    toy = linear(ranges=((8.0, 12.0), (-9.0, -6.0)), random_seed=2)
    problem = toy.problem()
    if ranks is not None:
        problem = SharedProblem(problem, ranks, apart=name == "full")
    state, infos = walk(getattr(toy, name)(problem, **METHODS[name]), STEPS)
    seen = [(info.codes, info.lengths, info.evaluation.activations, info.feasible) for info in infos]
    return state.phase, state.codes, seen, (problem.forward_passes, problem.backward_passes), max(toy.batches)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", METHODS)
def test_the_steps_of_one_process(name: str, size: int, linear: type, walk: Callable, tmp_path: Path) -> None:
    """Eqs. 6, 7, 16: the same codes at each step, and the same count of passes."""
    phase, codes, expected, passes, _ = walked(linear, name, walk)
    assert len(expected) > 10
    results = at_once(size, tmp_path, partial(walked, linear, name, walk))
    for result in results:
        assert not isinstance(result, BaseException), result
        assert (result[0], len(result[2])) == (phase, len(expected))
        for ours, theirs in zip(result[2], expected, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(one, other, **CLOSE)
        torch.testing.assert_close(result[1], codes, **CLOSE)
        assert torch.equal(result[1], results[0][1])  # to the bit, from one process to another
    if name != "full":  # fewer codes than a micro-batch take one pass instead of two
        assert results[0][3] == passes
    assert results[0][4] <= 6  # of the references; never all ten codes


def test_encodings_of_eq_16_stay_where_they_are(linear: type, walk: Callable, tmp_path: Path) -> None:
    """A step exchanges their moments once, and these are those of all."""

    def work(ranks: Ranks) -> Any:
        sums: list[Moments] = []
        add = ranks.added
        ranks.added = lambda moments: sums.append(add(moments)) or sums[-1]  # type: ignore[method-assign]
        toy = linear()
        problem = SharedProblem(toy.problem(), ranks, apart=True)
        method = toy.full(problem, chains=10, inner_steps=5, batch_size=3)
        state = method.begin()
        sums.clear()
        method.step(state)
        return len(sums), sums[0], problem.encode(state.codes).encodings, toy.problem().evaluate(state.codes).encodings

    results = at_once(4, tmp_path, work)
    assert [len(encodings) for _, _, encodings, _ in results] == [3, 3, 2, 2]
    for count, moments, _, whole in results:
        assert count == 1
        expected = Moments.of(whole)
        assert moments.size == 10
        torch.testing.assert_close((moments.sum, moments.squares), (expected.sum, expected.squares))


def test_what_fails_on_one_has_failed_on_all(linear: type, tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        toy = linear()
        problem = SharedProblem(toy.problem(), ranks)

        def breaks(images: torch.Tensor) -> Any:
            raise ZeroDivisionError("by 0")

        if ranks.number == 1:
            problem.alone.read = breaks
        try:
            problem.linearise(toy.starts[:5])
        except (RanksError, ZeroDivisionError) as error:
            return f"{type(error).__name__} {error}", ranks.tell(("go on", ranks.number))
        return None

    one, other = at_once(2, tmp_path, work)
    assert one == ("RanksError process 1 of 2: ZeroDivisionError: by 0", ("go on", 0))
    assert other == ("ZeroDivisionError by 0", ("go on", 0))


def test_a_process_that_is_gone_is_missed_at_once(linear: type, tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        toy = linear()
        problem = SharedProblem(toy.problem(), ranks)
        problem.evaluate(toy.starts[:5])
        if ranks.number == 1:
            os._exit(9)
        problem.evaluate(toy.starts[:5])

    begun = time.monotonic()
    one, other = at_once(2, tmp_path, work)
    assert other is None
    assert isinstance(one, RanksError)
    assert "another process was lost" in str(one)
    assert time.monotonic() - begun < 30


def test_bits_of_all_types_travel(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        kinds = (torch.float32, torch.bfloat16, torch.float64, torch.bool, torch.int64)
        wholes = [torch.arange(10).view(5, 2).to(kind) for kind in kinds]
        rows = [ranks.gathered(ranks.rows(whole), 5) for whole in wholes]
        spread = ranks.spread([whole if ranks.number == 0 else torch.empty_like(whole) for whole in [*wholes, *map(
            torch.squeeze, [torch.ones(1), torch.ones(0)])]])  # fmt: skip
        return wholes, rows, spread

    for wholes, rows, spread in at_once(3, tmp_path, work):
        for whole, one, other in zip(wholes, rows, spread, strict=False):
            assert torch.equal(whole, one)
            assert torch.equal(whole, other)
        assert (spread[-2].shape, spread[-1].shape) == ((), (0,))
