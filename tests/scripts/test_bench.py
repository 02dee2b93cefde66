"""What the benchmark compares with: the paper written out literally takes the steps that `method=paper` takes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from invset.core.paper import Paper
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("one_by_one", [False, True])
def test_literal_sums_over_pairs_take_the_steps_of_moments(monkeypatch, one_by_one):
    """Eqs. 9 and 11, by autograd, on the built-in model: the same codes, lengths and samples, to rounding."""
    from invset.core.problem import Problem
    from invset.core.region import Region
    from invset.core.seeding import Schedule

    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.delitem(sys.modules, "literal", raising=False)
    from literal import Literal

    network, generator = build_network("mini"), build_generator("mini")
    encoder, units = Encoder(network, "fc6"), [parse_unit("fc8:2", network)]
    randomness = torch.Generator().manual_seed(0)
    codes = torch.randn(8, generator.code_size, generator=randomness).abs()
    # Not rounded to eight bits: a value that falls on another side of a half would set the two apart.
    problem = Problem(generator, Reader(network, units, encoder), eight_bit=False)
    activations = problem.evaluate(codes).activations
    region = Region.two_sided([(float(activations.min()) - 1, float(activations.max()) + 1)])
    arguments = (problem, region, Schedule(chains=4), lambda chain, _: codes[chain], codes)
    ours, literal = Paper(*arguments), Literal(*arguments)
    activate = Reader(network, units)
    literal.encode, literal.activate = encoder, lambda images: activate(images)[1]
    literal.one_by_one = one_by_one
    monkeypatch.setattr("literal.round_to_eight_bits", lambda images: images)
    mine, theirs = ours.begin(), literal.begin()
    for _ in range(3):
        mine, info = ours.step(mine)
        theirs, other = literal.step(theirs)
        assert info.phase == other.phase == "sampling"
        assert info.samples.tolist() == other.samples.tolist()
        torch.testing.assert_close(other.lengths, info.lengths, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(other.evaluation.activations, info.evaluation.activations, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(theirs.codes, mine.codes, rtol=1e-3, atol=1e-3)
