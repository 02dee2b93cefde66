"""Passes made quicker give what they gave before; where that fails, it is said, and they are as before."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from invset.core.problem import Pipeline
from invset.passes import fused
from invset.passes.fused import Fused
from invset.passes.micro_batches import MicroBatches
from invset.passes.plain import Plain

MIX = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(5, 6)


def read(images: Tensor) -> tuple[Tensor, Tensor]:
    x = images.flatten(1)
    return torch.tanh(3 * x[:, :4] - x[:, 2:]), x.prod(dim=1, keepdim=True)


PIPELINE = Pipeline(lambda codes: torch.sigmoid(codes @ MIX).view(-1, 3, 1, 2), read)


class Quick:
    """Passes made quicker, and what was said of failures."""

    def __init__(self, how: fused.How, rows: int = 7) -> None:
        networks = Fused(PIPELINE, how, rows)
        self.passes = MicroBatches(Plain(PIPELINE, networks))
        self.failures: list[str] = []
        networks.on_failure = self.failures.append


def codes(k: int, seed: int = 0) -> Tensor:
    return torch.randn(k, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pulled(passes: MicroBatches, c: Tensor) -> tuple[Tensor, ...]:
    evaluation, pull_back = passes.linearise(c)
    return (*evaluation, pull_back(torch.ones_like(evaluation.encodings), torch.ones_like(evaluation.activations)))


def assert_as_plain(found: tuple[Tensor, ...], c: Tensor) -> None:
    for ours, theirs in zip(found, pulled(MicroBatches(Plain(PIPELINE)), c), strict=True):
        assert torch.equal(ours, theirs)


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
    quick = Quick("graphs")
    first, others = pulled(quick.passes, codes(7)), pulled(quick.passes, codes(7, seed=1))
    assert_as_plain(first, codes(7))
    assert_as_plain(others, codes(7, seed=1))
    assert graphs == [7]


def test_other_numbers_of_codes_go_through_as_before(graphs: list[int]) -> None:
    quick = Quick("graphs")
    for k in (3, 7, 3, 7, 11):
        assert_as_plain(pulled(quick.passes, codes(k)), codes(k))
    assert graphs == [7]


def test_without_cuda_it_is_said_once_and_results_are_the_same() -> None:
    quick = Quick("graphs")
    for seed in range(3):
        assert_as_plain(pulled(quick.passes, codes(7, seed)), codes(7, seed))
    assert quick.failures == ["a CUDA graph needs a CUDA device, and this is cpu"]


def test_what_the_compiler_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*given: object, **options: object) -> None:
        raise ValueError("no such kernel\nand a long story")

    monkeypatch.setattr(torch, "compile", failing)
    quick = Quick("inductor", 4)
    assert_as_plain(pulled(quick.passes, codes(4)), codes(4))
    assert quick.failures == ["no such kernel"]


def test_without_memory_for_a_graph_codes_go_through_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    def cramped(passes: Callable[..., Any], sample: tuple[Tensor]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", cramped)
    monkeypatch.setattr(fused, "_on_cuda", lambda codes: True)
    quick = Quick("graphs", 8)
    plain = MicroBatches(Plain(PIPELINE))
    torch.testing.assert_close(pulled(quick.passes, codes(8)), pulled(plain, codes(8)))
    assert (quick.failures, quick.passes.batches.largest) == ([], 4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the compiler itself uses
@pytest.mark.skipif("INVSET_SLOW" not in os.environ, reason="takes the compiler's time")
def test_compiled_gives_the_same_to_rounding() -> None:
    quick = Quick("inductor")
    plain = MicroBatches(Plain(PIPELINE))
    torch.testing.assert_close(pulled(quick.passes, codes(7)), pulled(plain, codes(7)))
    assert quick.failures == []
