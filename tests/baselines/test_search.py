"""Every image in range, and no other: by brute force."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from invset.baselines.search import Search
from invset.errors import ConfigError


@pytest.mark.parametrize("chains", [1, 3, 7, 60])
def test_it_finds_every_readable_image_in_range_once(chains: int, flat: type, search: Callable, walk: Callable) -> None:
    """Numbers that end in 3 or 8 cannot be read; images are looked at once each, without a gradient."""
    toy = flat(ranges=((-7.0, -4.0),))
    problem = toy.problem()
    method = search(toy, problem, chains=chains)
    state = method.begin()
    measured = problem.forward_passes
    state, infos = walk(method, 1000, state)
    assert state.phase == "done"
    readable = [n for n in range(50) if n % 5 != 3]
    images = torch.stack([toy.draw(n, 0) for n in readable])
    f = (images @ toy.V.T).flatten()
    expected = [n for n, value in zip(readable, f.tolist(), strict=True) if -7 <= value <= -4]
    found = torch.cat([info.chains[info.samples] for info in infos])
    assert 3 < len(expected) < len(readable)
    assert found.tolist() == expected
    assert torch.cat([info.chains for info in infos]).tolist() == readable
    torch.testing.assert_close(torch.cat([info.codes for info in infos]), images)
    assert problem.forward_passes - measured == len(readable)
    assert problem.backward_passes == 0


def test_an_end_that_cannot_be_read_is_an_end(flat: type, search: Callable, walk: Callable) -> None:
    state, infos = walk(search(flat(), count=4, chains=3), 10)
    assert state.phase == "done"
    assert [info.chains.tolist() for info in infos] == [[0, 1, 2]]


def test_a_folder_of_nothing_is_an_error_of_ours(flat: type) -> None:
    toy = flat()
    with pytest.raises(ConfigError, match="none of the 5 images"):
        Search(toy.problem(), toy.region, lambda _: None, 5, toy.references).begin()
    with pytest.raises(ConfigError, match="0 images"):
        Search(toy.problem(), toy.region, lambda _: None, 0, toy.references)
