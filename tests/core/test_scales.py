"""What distances are measured against: unrelated codes."""

import pytest
import torch

from invset.core import scales
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.scales import Distances
from tests.toys import as_images, problem_of


def problem() -> Problem:
    return problem_of(as_images, lambda x: (3 * x.flatten(1), x.flatten(1)[:, :1]))


def test_the_median_distance_between_codes_and_between_encodings() -> None:
    """0, 1, 10 on a line: distances 1, 9, 10."""
    codes = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]])
    assert scales.measure(problem(), codes) == pytest.approx(Distances(9.0, 27.0))


def test_mostly_equal_codes_have_a_mean_distance_and_equal_ones_that_of_1() -> None:
    codes = torch.zeros(4, 2)
    assert scales.measure(problem(), codes) == Distances(1.0, 1.0)
    codes[0, 0] = 6  # three distances of 6, three of 0: the lower median is 0
    assert scales.measure(problem(), codes) == pytest.approx(Distances(3.0, 9.0))


def test_a_single_chain_has_no_pairs_and_a_finite_weight() -> None:
    assert 0 < scales.automatic(Distances(2.0, 7.0), Region.two_sided([(0.0, 1.0)]), 1).objective < 1
