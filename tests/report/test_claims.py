"""Claims: verdicts against every pair of numbers, and the numbers that stand beside them."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement, product

import pytest

from invset.metrics.estimate import Estimate
from invset.report.claims import Claim, claim_line, judge, spread

KEY = "mean_pairwise_distance"
OURS, PPGN = Estimate(11.374, 11.08, 11.62), Estimate(6.1571, 5.98, 6.34)


@pytest.mark.parametrize("relation", ["above", "at least", "below", "at most"])
@pytest.mark.parametrize("times", [1.0, 2.0])
def test_every_pair_of_numbers_is_asked(relation: str, times: float):
    """All intervals with ends in 0 … 4: it holds if true of every pair of their points, fails if true of none."""
    ask = {
        "above": lambda a, b: a > b,
        "at least": lambda a, b: not a < b,
        "below": lambda a, b: a < b,
        "at most": lambda a, b: not a > b,
    }[relation]
    spans = list(combinations_with_replacement(range(5), 2))
    for (low, high), (other_low, other_high) in product(spans, spans):
        # Points a quarter apart: ends and insides, on both scales.
        ours = [low + step / 4 for step in range(4 * (high - low) + 1)]
        theirs = [other_low + step / 4 for step in range(4 * (other_high - other_low) + 1)]
        answers = {ask(a, times * b) for a, b in product(ours, theirs)}
        expected = answers.pop() if len(answers) == 1 else None
        cells = {"ours": Estimate(0.5, low, high), "ppgn": Estimate(99.0, other_low, other_high)}
        assert judge(Claim("c", KEY, "ours", relation, "ppgn", times=times), cells).holds is expected
        if other_low == other_high and times == 1:
            # A number without an interval decides as the same number with one of no width.
            assert judge(Claim("c", KEY, "ours", relation, value=other_low), cells).holds is expected
            alone = {**cells, "ppgn": float(other_low)}
            assert judge(Claim("c", KEY, "ours", relation, "ppgn"), alone).holds is expected


@pytest.mark.parametrize("missing", [None, math.nan, Estimate(math.nan), "a text"])
def test_a_number_that_is_missing_leaves_it_unclear(missing):
    for cells in ({"ours": missing, "ppgn": PPGN}, {"ours": OURS, "ppgn": missing}, {"ours": OURS}):
        assert judge(Claim("c", KEY, "ours", "above", "ppgn"), cells).holds is None


def test_a_line_of_the_table():
    claim = Claim("ours is more varied", KEY, "ours", "above", "ppgn", paper="5.58 against 4.82")
    titles = {"ours": "multistart", "ppgn": "PPGN"}
    verdict = judge(claim, {"ours": OURS, "ppgn": PPGN})
    assert claim_line(claim, "distance", titles, [verdict]) == [
        "ours is more varied (5.58 against 4.82)", "multistart: distance", "11.37 [11.1, 11.6]",
        "> 6.157 [5.98, 6.34] (PPGN)", "yes",
    ]  # fmt: skip
    double = Claim("c", KEY, "ours", "at most", "ppgn", times=2)
    line = claim_line(double, "distance", titles, [judge(double, {"ours": 12.0, "ppgn": 5.0})])
    assert line[2:] == ["12", "≤ 10 (2 × PPGN)", "no"]
    number = Claim("c", KEY, "ours", "at least", value=11.2)
    assert claim_line(number, "distance", titles, [judge(number, {"ours": OURS})])[3:] == ["≥ 11.2", "unclear"]


def test_several_groups_are_counted():
    claim = Claim("c", KEY, "ours", "above", "ppgn")
    cells = [(4.0, 2.0), (1.0, 2.0), (9.0, 2.0), (OURS, OURS), (None, 2.0)]
    verdicts = [judge(claim, {"ours": ours, "ppgn": theirs}) for ours, theirs in cells]
    line = claim_line(claim, "distance", {}, verdicts)
    assert line[2:] == ["6.5 (1 to 11.37)", "> 2 (2 to 11.37) (ppgn)", "2 of 5, 1 not, 2 unclear"]
    assert claim_line(claim, "distance", {}, verdicts[:1] * 2)[4] == "2 of 2"


def test_what_is_spread_over_groups():
    assert spread([3.0, None, 1.0, "x", math.nan]) == "2 (1 to 3)"
    assert spread([4.0, 4.0]) == spread([4.0]) == "4"
    assert spread([None, None]) == "-"
