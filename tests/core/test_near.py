"""Starts near the ranges: which codes they are between, on activations that every code gives by itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from invset.core import near as module
from invset.core.near import NearStarts, count_looks, find_near
from invset.core.problem import Problem
from invset.core.region import Region
from tests.toys import as_images, problem_of

SIZE = 8
WAY = torch.linspace(-1, 1, SIZE)
CODES = torch.randn(4000, SIZE, generator=torch.Generator().manual_seed(0)).relu()
REGION = Region.two_sided([(2.0, 3.0)])  # where one code in thirty or forty lies


def problem(bend: float = 0.0, size: int | None = None) -> Problem:
    """f = w·c, or bent: f = w·c + bend·sin(3 c₀)."""

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, (c @ WAY + bend * (3 * c[:, 0]).sin())[:, None]

    return problem_of(as_images, read, size)


def away(codes: Tensor, bend: float = 0.0) -> Tensor:
    return REGION.distance(problem(bend).evaluate(codes).activations)


def test_all_codes_looked_at_the_nearest_are_found() -> None:
    near = find_near(problem(), REGION, CODES[:200], 200, 0)
    assert torch.equal(away(near.codes).sort().values, away(CODES[:200]).sort().values[:60])
    assert torch.equal(near.highest[:, 0], CODES[:200][(CODES[:200] @ WAY).argsort(descending=True)[:8]])


@pytest.mark.parametrize("bend", [0.0, 1.0])
def test_few_looked_at_nearly_all_in_range_are_found(bend: float) -> None:
    """256 of 4000 at random would hold one in sixteen of those in range; the regression leads to as many as fit."""
    near = find_near(problem(bend), REGION, CODES, 256, 0)
    inside = int((away(CODES, bend) == 0).sum())
    assert 77 < inside < 400
    assert len(near.codes) == 77
    assert (away(near.codes, bend) == 0).sum() > 65


def test_several_ranges() -> None:
    both = Region.two_sided([(0.5, 1.0), (2.0, 2.5)])

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        c = images.flatten(1)
        return c, torch.stack([c @ WAY, c.sum(dim=1) / 2], dim=1)

    near = find_near(problem_of(as_images, read), both, CODES, 400, 0)
    f = read(as_images(near.codes))[1]
    assert both.contains(f).float().mean() > 0.5 > 3 * both.contains(read(as_images(CODES))[1]).float().mean()


def test_the_order_depends_on_the_random_seed_alone() -> None:
    torch.manual_seed(0)
    one = find_near(problem(), REGION, CODES, 256, 0).codes
    torch.manual_seed(1)
    assert torch.equal(one, find_near(problem(), REGION, CODES, 256, 0).codes)
    bent = [find_near(problem(3.0), REGION, CODES, 256, seed).codes for seed in (0, 1)]
    assert not torch.equal(*bent)


def test_a_start_is_as_long_as_the_codes_it_lies_between() -> None:
    lengths = torch.tensor([1.0, 3.0])
    starts = NearStarts(torch.eye(2) * lengths[:, None], 0, chains=1)
    for attempt in range(20):
        start = starts.draw(0, attempt)
        weights = start / lengths  # of the mixture, up to a factor
        share = weights / weights.sum()
        assert float(start.norm()) == pytest.approx(float(share @ lengths), rel=1e-5)
    assert starts.draw(0, 0).isfinite().all()
    assert NearStarts(torch.zeros(2, 3), 0, 1).draw(0, 0).tolist() == [0, 0, 0]


def test_a_start_lies_between_two_codes_nearer_to_the_first() -> None:
    codes = torch.eye(6)
    starts = NearStarts(codes, 0, chains=2)
    drawn = [starts.draw(chain, attempt) for attempt in range(60) for chain in (0, 1)]
    firsts = [int(start.argmax()) for start in drawn]
    for round_ in range(20):  # each code once, then again beside others
        assert sorted(firsts[6 * round_ : 6 * round_ + 6]) == list(range(6))
    shares = torch.stack([start.sort().values[-2] / start.sum() for start in drawn if start.count_nonzero() == 2])
    assert len(shares) == 120, "the second is another"
    assert 0.3 <= shares.min() < 0.33
    assert 0.47 < shares.max() <= 0.5
    assert torch.equal(starts.draw(1, 7), drawn[15])


def test_a_single_code_is_its_own_start() -> None:
    near = find_near(problem(), REGION, CODES[:1], 512, 0)
    assert torch.equal(NearStarts(near.codes, 0, 4).draw(3, 5), CODES[0])


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_codes_do_not_depend_on_batches(size: int) -> None:
    parts, whole = (find_near(problem(1.0, each), REGION, CODES, 256, 0) for each in (size, None))
    assert torch.equal(parts.codes, whole.codes)


def test_costly_passes_are_looked_at_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKS", 1024)
    assert [count_looks(4000, operations) for operations in (0, 4 * 10**9, 10**12)] == [1024, 300, 128]
    assert count_looks(50, 1) == 50
