"""Every image in range, and no other: by brute force."""

from __future__ import annotations

import pytest
import torch

from invset.baselines.search import Search
from invset.errors import ConfigError
from tests.makers import search
from tests.toys import Flat, walk


@pytest.mark.parametrize("chains", [1, 3, 7, 60])
def test_it_finds_every_readable_image_in_range_once(chains: int) -> None:
    """Numbers that end in 3 or 8 cannot be read; images are looked at once each, without a gradient."""
    toy = Flat(ranges=((-7.0, -4.0),))
    problem = toy.problem()
    method = search(toy, problem, chains=chains)
    state = method.begin()
    measured = problem.passes.counts.forward
    state, taken = walk(method, 1000, state)
    assert state.phase == "done"
    readable = [n for n in range(50) if n % 5 != 3]
    images = torch.stack([toy.draw(n, 0) for n in readable])
    f = (images @ toy.V.T).flatten()
    expected = [n for n, value in zip(readable, f.tolist(), strict=True) if -7 <= value <= -4]
    found = torch.cat([step.chains[step.samples] for step in taken])
    assert 3 < len(expected) < len(readable)
    assert found.tolist() == expected
    assert torch.cat([step.chains for step in taken]).tolist() == readable
    torch.testing.assert_close(torch.cat([step.codes for step in taken]), images)
    assert problem.passes.counts.forward - measured == len(readable)
    assert problem.passes.counts.backward == 0


def test_an_end_that_cannot_be_read_is_an_end() -> None:
    state, taken = walk(search(Flat(), count=4, chains=3), 10)
    assert state.phase == "done"
    assert [step.chains.tolist() for step in taken] == [[0, 1, 2]]


def test_a_folder_of_nothing_is_an_error_of_ours() -> None:
    toy = Flat()
    with pytest.raises(ConfigError, match="none of the 5 images"):
        Search(toy.problem(), toy.region, lambda _: None, 5, toy.references).begin()
