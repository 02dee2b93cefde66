"""Several processes give what one gives, to rounding; one that fails, or is lost, leaves none of the others waiting."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from invset.core.problem import Problem
from invset.errors import RanksError
from invset.passes.ranks import Ranks
from invset.passes.shared import Shared
from tests.toys import TWO_RANGES, Linear, assert_same_bits, assert_same_run, walk

pytestmark = [
    # Python 3.12 and later say so of any process with threads, as torch's and pytest-xdist's are.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.usefixtures("float64"),
]

METHODS = {
    "full": {"chains": 10, "inner_steps": 5, "outer_iterations": 99},
    "paper": {"chains": 3, "inner_steps": 5, "outer_iterations": 99},  # fewer than four processes
    "multistart": {"chains": 7, "inner_steps": 20},
}


def at_once(size: int, folder: Path, work: Callable[[Ranks], Any]) -> list[Any]:
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


def run_all(ranks: Ranks | None = None) -> dict[str, Any]:
    """Every method's steps, the passes counted, and the largest batch."""
    runs = {}
    for name, schedule in METHODS.items():
        toy = Linear(TWO_RANGES, random_seed=2)
        problem = toy.problem(3 if name == "full" else None)
        if ranks is not None:
            problem = Problem(Shared(problem.passes, ranks))
        _, taken = walk(getattr(toy, name)(problem, **schedule), 40)
        runs[name] = taken, problem.passes.counts, max(toy.batches)
    return runs


@pytest.mark.parametrize("size", [2, 4])
def test_the_steps_of_one_process(size: int, tmp_path: Path) -> None:
    """Eqs. 6, 7, 16: the same steps, and the same count of passes; to the bit, from one process to another."""
    alone, results = run_all(), at_once(size, tmp_path, run_all)
    for result in results:
        assert not isinstance(result, BaseException), result
        for name, (expected, counts, _) in alone.items():
            ours, counted, largest = result[name]
            assert len(ours) > 6
            assert_same_run(ours, expected)
            for one, other in zip(ours, results[0][name][0], strict=True):
                assert_same_bits(one, other)
            if result is results[0] and name != "full":  # fewer codes than a micro-batch take one pass instead of two
                assert counted == counts
            assert largest <= 4  # of 6 references and 7 chains on two processes


def test_what_fails_on_one_has_failed_on_all(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        toy = Linear()

        def breaks(images: torch.Tensor) -> Any:
            raise ZeroDivisionError("by 0")

        if ranks.number == 1:
            toy.read = breaks  # type: ignore[method-assign]
        try:
            Shared(toy.problem().passes, ranks).linearise(toy.starts[:5])
        except (RanksError, ZeroDivisionError) as error:
            return f"{type(error).__name__} {error}", ranks.announce(("go on", ranks.number))
        return None

    one, other = at_once(2, tmp_path, work)
    assert one == ("RanksError process 1 of 2: ZeroDivisionError: by 0", ("go on", 0))
    assert other == ("ZeroDivisionError by 0", ("go on", 0))


def test_a_process_that_is_gone_is_missed_at_once(tmp_path: Path) -> None:
    def work(ranks: Ranks) -> Any:
        toy = Linear()
        passes = Shared(toy.problem().passes, ranks)
        passes.evaluate(toy.starts[:5])
        if ranks.number == 1:
            os._exit(9)
        passes.evaluate(toy.starts[:5])

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
        return wholes, [ranks.gather(ranks.rows(whole), 5) for whole in wholes]

    for wholes, gathered in at_once(3, tmp_path, work):
        for whole, one in zip(wholes, gathered, strict=True):
            assert torch.equal(whole, one)
