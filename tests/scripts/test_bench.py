"""What the benchmark compares with: the paper written out literally takes the steps that `method=paper` takes."""

from __future__ import annotations

import pytest
import torch

from invset.core.paper import Paper
from invset.core.problem import Pipeline, Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit
from invset.passes.plain import Plain
from literal import Literal


@pytest.mark.parametrize("one_by_one", [False, True])
def test_literal_sums_over_pairs_take_the_steps_of_moments(one_by_one):
    """Eqs. 9 and 11, by autograd, on the built-in model: the same codes, lengths and samples.

    In float64 and of raw pixels: on which side of an 8-bit value, or of a ReLU, float32 comes to lie depends on the
    machine, and steps that differ by that much soon differ by far more.
    """
    network, generator = build_network("mini"), build_generator("mini")
    for model in (network, generator):
        model.to("cpu", torch.float64)
    encoder, units = Encoder(network, "fc6"), [parse_unit("fc8:2", network)]
    codes = torch.randn(8, generator.code_size, generator=torch.Generator().manual_seed(0)).abs().double()
    problem = Problem(Plain(Pipeline(generator, Reader(network, units, encoder), eight_bit=False)))
    activations = problem.evaluate(codes).activations
    low, high = float(activations.min()), float(activations.max())
    region = Region.two_sided([(high, 2 * high - low)])
    ours = Paper(problem, region, Schedule(chains=4), lambda chain, _: codes[chain], codes)
    literal = Literal(ours, generator, encoder, lambda images: Reader(network, units)(images)[1], one_by_one)
    mine, theirs = ours.begin(), literal.begin()
    sampling, samples = [], []
    for _ in range(6):
        mine, step = ours.step(mine)
        theirs, other = literal.step(theirs)
        sampling.append(bool(step.sampling.all()))
        samples.append(len(step.samples))
        assert step.samples.tolist() == other.samples.tolist()
        torch.testing.assert_close(other.evaluation.activations, step.evaluation.activations)
        torch.testing.assert_close(other.lengths, step.lengths)
        torch.testing.assert_close(theirs.chains.codes, mine.chains.codes)
    assert set(sampling) == {False, True}
    assert {0, 4} < set(samples), "and of some steps a part of the codes"
