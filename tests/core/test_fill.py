"""Where in its range a chain is to go."""

from __future__ import annotations

import pytest
import torch

from invset.core import fill
from invset.core.fill import Filled
from tests.toys import Linear

REGION = Linear().region  # [20, 24]: ten parts, 0.4 wide
NAN = torch.nan


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_new_start_is_sent_to_the_nearest_of_the_parts_with_the_fewest_samples() -> None:
    """Two chains are under way to [21.2, 21.6] and stay so; two are new, and one of another group counts for nobody."""
    filled = Filled(
        goal=column(21.4, NAN, 21.4, NAN, 23.4),
        samples=torch.tensor([[[3.0, 3, 0, 0, 1, 0, 3, 3, 0, 3]], [[1.0] * 10]]),
        missed=torch.tensor([[[0.0, 0, 1, 0, 0, 2, 0, 0, 0, 0]], [[0.0] * 10]]),
    )
    group = torch.tensor([0, 0, 0, 0, 1])
    found, aimed = fill.emptiest(REGION, filled, column(15.0, 21.9, 30.0, 20.1, 23.0), group)
    # With those under way and what was missed, the third to sixth count as 1, 2, 1 and 3, the ninth as none: it is the
    # second chain's. Then the third part is as empty as any, and nearest to the fourth chain.
    assert found.goal.flatten().tolist() == pytest.approx([21.4, 23.4, 21.4, 21.0, 23.4])
    assert torch.equal(aimed.aim_lower, found.goal)
    assert torch.equal(aimed.aim_upper, found.goal)
    assert aimed.lower.flatten().tolist() == pytest.approx([21.2, 23.2, 21.2, 20.8, 23.2])
    assert aimed.upper.flatten().tolist() == pytest.approx([21.6, 23.6, 21.6, 21.2, 23.6])


def test_a_part_is_missed_until_a_sample_lies_in_it() -> None:
    """Two chains were to go to the third part of [20, 24], and gave samples there and in the fifth; one to the last."""
    missed = torch.tensor([[[0.0, 0, 5, 0, 5, 0, 0, 0, 5, 5]]])
    filled = Filled(column(21.0, 21.0, 23.8), torch.zeros(1, 1, 10), missed)
    activations, group = column(21.0, 21.7, 23.5), torch.zeros(3, dtype=torch.int64)
    noted = fill.note_samples(REGION, filled, torch.tensor([0, 1]), activations, group)
    assert noted.samples.tolist() == [[[0, 0, 1, 0, 1, 0, 0, 0, 0, 0]]]
    assert noted.missed.tolist() == [[[0, 0, 0, 0, 0, 0, 0, 0, 5, 5]]]
    noted = fill.note_samples(REGION, filled, torch.tensor([2]), activations, group)
    assert noted.samples.tolist() == [[[0, 0, 0, 0, 0, 0, 0, 0, 1, 0]]]
    assert noted.missed.tolist() == [[[0, 0, 5, 0, 5, 0, 0, 0, 0, 6]]]


def test_the_middle_half_is_aimed_at_and_slack_is_in_its_middle() -> None:
    aimed = fill.middle(REGION, column(10.0, 22.5, 40.0))
    assert aimed.lower.flatten().tolist() == [21.0] * 3
    assert aimed.upper.flatten().tolist() == [23.0] * 3
    assert aimed.aim_lower.flatten().tolist() == aimed.aim_upper.flatten().tolist() == [22.0] * 3
