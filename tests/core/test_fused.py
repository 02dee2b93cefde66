"""Passes made quicker give what they gave before; where that fails, one is told, and they are as before."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core import fused
from invset.core.fused import Fused
from invset.core.problem import Problem

MIX = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(5, 6)


def problem(how: str | None = None, rows: int = 7) -> Problem:
    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.flatten(1)
        return torch.tanh(3 * x[:, :4] - x[:, 2:]), x.prod(dim=1, keepdim=True)

    made = Problem(lambda codes: torch.sigmoid(codes @ MIX).view(-1, 3, 1, 2), read)
    if how is not None:
        made.networks = Fused(made.networks, how, rows)  # type: ignore[arg-type]
    return made


def codes(k: int, seed: int = 0) -> Tensor:
    return torch.randn(k, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pulled(problem: Problem, c: Tensor) -> tuple[Tensor, ...]:
    evaluation, pull_back = problem.linearise(c)
    return (*evaluation, pull_back(torch.ones_like(evaluation.encodings), torch.ones_like(evaluation.activations)))


class OnePlace(torch.autograd.Function):
    """What a CUDA graph does: inputs are copied to one place, outputs lie in one place, which a replay overwrites."""

    @staticmethod
    def forward(ctx: Any, passes: Callable[[Tensor], tuple[Tensor, ...]], places: dict[str, Any], c: Tensor) -> Any:
        with torch.enable_grad():
            places["in"].data.copy_(c)
            outputs = passes(places["in"])
        kept = places.setdefault("out", tuple(torch.empty_like(output.detach()) for output in outputs))
        for place, output in zip(kept, outputs, strict=True):
            place.copy_(output.detach())
        places["graph"] = outputs
        ctx.places = places
        return tuple(place.view_as(place) for place in kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        places = ctx.places
        return None, None, torch.autograd.grad(places["graph"], places["in"], gradients)[0]


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands in for CUDA's graphs; lists for how many codes one was made."""
    made: list[int] = []

    def stand_in(passes: Callable[..., Any], sample: tuple[Tensor]) -> Callable[[Tensor], Any]:
        made.append(len(sample[0]))
        places: dict[str, Any] = {"in": sample[0]}
        return lambda c: OnePlace.apply(passes, places, c)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", stand_in)
    monkeypatch.setattr(fused, "_on_cuda", lambda codes: True)
    return made


def test_a_replay_gives_the_same_and_leaves_earlier_outputs_alone(graphs: list[int]) -> None:
    plain, quick = problem(), problem("graphs")
    first, others = pulled(quick, codes(7)), pulled(quick, codes(7, seed=1))
    for found, c in ((first, codes(7)), (others, codes(7, seed=1))):
        for ours, theirs in zip(found, pulled(plain, c), strict=True):
            assert torch.equal(ours, theirs)
    assert graphs == [7]


def test_other_numbers_of_codes_go_through_as_before(graphs: list[int]) -> None:
    quick = problem("graphs")
    for k in (3, 7, 3, 7, 11):
        for ours, theirs in zip(pulled(quick, codes(k)), pulled(problem(), codes(k)), strict=True):
            assert torch.equal(ours, theirs)
    assert graphs == [7]


def test_without_cuda_one_is_told_once_and_results_are_the_same() -> None:
    quick, told = problem("graphs"), []
    assert isinstance(quick.networks, Fused)
    quick.networks.on_failure = told.append
    for seed in range(3):
        for ours, theirs in zip(pulled(quick, codes(7, seed)), pulled(problem(), codes(7, seed)), strict=True):
            assert torch.equal(ours, theirs)
    assert told == ["a CUDA graph needs a CUDA device, and this is cpu"]


def test_what_the_compiler_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object, **options: object) -> None:
        raise ValueError("no such kernel\nand a long story")

    monkeypatch.setattr(torch, "compile", failing)
    quick, told = problem("inductor", 4), []
    assert isinstance(quick.networks, Fused)
    quick.networks.on_failure = told.append
    assert torch.equal(pulled(quick, codes(4))[3], pulled(problem(), codes(4))[3])
    assert told == ["no such kernel"]


def test_without_memory_for_a_graph_codes_go_through_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(passes: Callable[..., Any], sample: tuple[Tensor]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", cramped)
    monkeypatch.setattr(fused, "_on_cuda", lambda codes: True)
    quick, told = problem("graphs", 8), []
    assert isinstance(quick.networks, Fused)
    quick.networks.on_failure = told.append
    for ours, theirs in zip(pulled(quick, codes(8)), pulled(problem(), codes(8)), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert (told, quick.batches.largest) == ([], 4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the compiler itself uses
@pytest.mark.skipif("INVSET_SLOW" not in os.environ, reason="takes the compiler's time")
def test_compiled_gives_the_same_to_rounding() -> None:
    quick, told = problem("inductor"), []
    assert isinstance(quick.networks, Fused)
    quick.networks.on_failure = told.append
    for ours, theirs in zip(pulled(quick, codes(7)), pulled(problem(), codes(7)), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert told == []
