"""`method=full`: eq. 16 with all n codes at once is eq. 6 with n for K, in memory that does not grow with n."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from invset.core.full import BATCH

CASES = {"p=1": {}, "p=2": {"ranges": ((8.0, 12.0), (-9.0, -6.0)), "random_seed": 2}}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_micro_batches_take_the_steps_of_one_batch(case: str, batch_size: int, linear: type, walk: Callable) -> None:
    """Eq. 16, n = 10, to float64 rounding, from the starts until all are feasible."""
    options, schedule = CASES[case], {"chains": 10, "inner_steps": 5, "outer_iterations": 99}
    whole_state, whole = walk(linear(**options).full(batch_size=10, **schedule), 200)
    parts_state, parts = walk(linear(**options).full(batch_size=batch_size, **schedule), 200)
    assert whole_state.phase == parts_state.phase == "done"
    seeding = [info for info in whole if info.phase == "seeding"]
    assert len(seeding) > 5
    for ours, expected in zip(parts, seeding, strict=False):
        assert ours.phase == "seeding"
        torch.testing.assert_close(ours.codes, expected.codes, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(ours.lengths, expected.lengths, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(ours.multipliers.values, expected.multipliers.values, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(parts_state.codes, whole_state.codes, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_eq_16_is_eq_6_with_n_codes(case: str, linear: type, walk: Callable) -> None:
    """Its steps are the seeding steps of `method=paper` with K = n, and its samples those seeds."""
    options, schedule = CASES[case], {"chains": 10, "inner_steps": 5, "outer_iterations": 99}
    _, full = walk(linear(**options).full(batch_size=3, **schedule), 200)
    _, paper = walk(linear(**options).paper(**schedule), 200)
    seeding = [info for info in paper if info.phase == "seeding"]
    for ours, expected in zip(full, seeding, strict=False):
        assert ours.phase == "seeding"
        torch.testing.assert_close(ours.codes, expected.codes, rtol=1e-8, atol=1e-9)
    seeds = paper[len(seeding)]
    emitted = full[len(seeding) :]
    assert [info.phase for info in emitted] == ["sampling"] * 4
    torch.testing.assert_close(torch.cat([info.codes for info in emitted]), seeds.codes, rtol=1e-8, atol=1e-9)
    assert [info.chains.tolist() for info in emitted] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert [info.samples.tolist() for info in emitted] == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0]]
    assert all(len(info.evaluation.images) == len(info.codes) for info in emitted)


@pytest.mark.parametrize("n", [10, 200])
@pytest.mark.parametrize("batch_size", [3, None])
def test_the_networks_never_see_more_codes_than_a_micro_batch(
    n: int, batch_size: int | None, linear: type, walk: Callable
) -> None:
    """Memory does not grow with n, from the first start to the last sample."""
    toy = linear()
    state, infos = walk(toy.full(chains=n, inner_steps=50, batch_size=batch_size), 400)
    assert state.phase == "done"
    assert sum(len(info.samples) for info in infos) == n
    assert max(toy.batches) <= (batch_size or BATCH)


def test_codes_that_fail_are_no_samples(linear: type, walk: Callable) -> None:
    """Outer iterations used up with some codes outside: those inside are delivered."""
    toy = linear(ranges=((20.0, 20.2),))
    toy.starts[0] = torch.linalg.pinv(toy.V @ toy.A)[:, 0] * 20.1 - torch.linalg.pinv(toy.V @ toy.A)[:, 0] * float(
        toy.V @ toy.a + toy.v
    )
    state, infos = walk(toy.full(chains=4, inner_steps=1, outer_iterations=1, batch_size=3), 20)
    assert state.phase == "done"
    emitted = [info for info in infos if info.phase == "sampling"]
    assert sum(len(info.codes) for info in emitted) == 4
    for info in emitted:
        f = info.evaluation.activations[:, 0]
        assert info.samples.tolist() == ((f >= 20.0) & (f <= 20.2)).nonzero().flatten().tolist()
    assert sum(len(info.samples) for info in emitted) < 4
