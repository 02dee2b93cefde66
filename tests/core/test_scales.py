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


def test_eq_9_as_printed_has_units_of_1() -> None:
    printed = scales.fixed(1.0, Region.two_sided([(10.0, 20.0), (0.0, 1.0)]))
    assert printed.objective == 1
    assert printed.constraint.tolist() == [1, 1]


@pytest.mark.parametrize("chains", [2, 3, 10])
def test_the_measured_weight_makes_what_a_chain_has_to_do_with_count_as_1(chains: int) -> None:
    """K codes at the typical distance of each other: w times the terms of Σ_ij that hold e_i is 1, in half widths."""
    region = Region.two_sided([(10.0, 20.0), (0.0, 1.0)])
    measured = scales.automatic(Distances(2.0, 7.0), region, chains)
    simplex = 7 / 2**0.5 * torch.eye(chains, dtype=torch.float64)
    terms = sum(
        float((simplex[i] - simplex[j]).square().sum()) for i in range(chains) for j in range(chains) if 0 in (i, j)
    )
    assert measured.objective * terms == pytest.approx(1)
    assert measured.constraint.tolist() == [5, 0.5]


def test_a_single_chain_has_no_pairs_and_a_finite_weight() -> None:
    assert 0 < scales.automatic(Distances(2.0, 7.0), Region.two_sided([(0.0, 1.0)]), 1).objective < 1
