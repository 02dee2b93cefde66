"""`method=full`: eq. 16 with all n codes at once is eq. 6 with n for K, in memory that does not grow with n."""

from __future__ import annotations

import pytest
import torch

from tests.toys import TWO_RANGES, Linear, assert_same_run, is_sampling, walk

pytestmark = pytest.mark.usefixtures("float64")
SCHEDULE = {"inner_steps": 5, "outer_iterations": 99}


@pytest.mark.parametrize("toy", [Linear(), Linear(TWO_RANGES, random_seed=2)], ids=["p=1", "p=2"])
@pytest.mark.parametrize("size", [None, 3])
def test_eq_16_is_eq_6_with_n_codes(toy: Linear, size: int | None) -> None:
    """Its steps are the seeding steps of `method=paper` with K = n; the seeds are its samples, 64 at a time."""
    end, ours = walk(toy.full(toy.problem(size), chains=70, **SCHEDULE), 200)
    _, paper = walk(toy.paper(chains=70, **SCHEDULE), 200)
    first = next(step.number for step in paper if is_sampling(step))
    assert first > 5
    assert_same_run(ours[:first], paper[:first])
    given = ours[first:]
    assert end.phase == "done"
    assert [step.sampling.all() for step in given] == [True, True]
    assert torch.cat([step.chains for step in given]).tolist() == list(range(70))
    assert [len(step.samples) for step in given] == [64, 6]
    assert [step.begins.any().item() for step in given] == [True, False]
    torch.testing.assert_close(torch.cat([step.codes for step in given]), paper[first].codes, rtol=1e-8, atol=1e-9)
    assert all(len(step.evaluation.images) == len(step.codes) for step in given)


@pytest.mark.parametrize("n", [10, 130])
def test_the_networks_never_see_more_codes_than_a_micro_batch(n: int) -> None:
    """Memory does not grow with n, from the first start to the last sample; nor are images kept of all n."""
    toy = Linear()
    state, taken = walk(toy.full(toy.problem(7), chains=n, inner_steps=50), 400)
    assert state.phase == "done"
    assert sum(len(step.samples) for step in taken) == n
    assert max(toy.batches) == 7
    assert not any(len(step.evaluation.images) for step in taken if not is_sampling(step))


def test_codes_that_fail_are_no_samples() -> None:
    """Outer iterations used up with some codes outside: those inside are delivered."""
    state, taken = walk(Linear(((20.0, 22.0),)).full(chains=4, inner_steps=4, outer_iterations=4), 20)
    given = [step for step in taken if is_sampling(step)]
    assert (state.phase, len(taken), [len(step.codes) for step in given]) == ("done", 17, [4])
    f = given[0].evaluation.activations[:, 0]
    assert given[0].samples.tolist() == ((f >= 20) & (f <= 22)).nonzero().flatten().tolist()
    assert 0 < len(given[0].samples) < 4
