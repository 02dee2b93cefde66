import math

import pytest
import torch

from invset.errors import ConfigError
from invset.models.linear import LinearModel, linear_network
from invset.models.network import Network
from invset.models.reader import Encoder, Reader
from invset.models.unit import parse_unit


def model(network: Network) -> LinearModel:
    assert isinstance(network.module, LinearModel)
    return network.module


def test_layers_are_the_formula_of_section_3_1() -> None:
    network = linear_network(weights=[1.0, -2.0, 3.0], bias=0.5, shape=(3, 1, 1))
    images = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    reader = Reader(network, [parse_unit("output:1", network)], Encoder(network, "logit"))
    logit, output = reader(images)
    assert logit.item() == pytest.approx(0.1 - 0.4 + 0.9 + 0.5)
    assert output.item() == pytest.approx(1 / (1 + math.exp(-1.1)))
    assert network.shapes == {"logit": (1,), "output": (1,)}


def test_the_logit_has_mean_0_and_deviation_2_over_the_cube() -> None:
    network = linear_network(random_seed=3)
    images = torch.rand(20_000, *network.input_shape, generator=torch.Generator().manual_seed(0))
    logits = network.read(["logit"], images)["logit"]
    assert logits.mean().item() == pytest.approx(0, abs=0.05)
    assert logits.std().item() == pytest.approx(2, rel=0.03)


def test_a_random_seed_is_the_network_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (model(linear_network(seed)).logit.weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_given_weights_are_not_shared_with_the_giver() -> None:
    weights = torch.ones(12)
    network = linear_network(weights=weights, shape=(3, 2, 2))
    weights.zero_()
    assert model(network).logit.weight.sum() == 12


def test_misuse() -> None:
    with pytest.raises(ConfigError, match="4 weights for 3x8x8 images; give 192"):
        linear_network(weights=[1.0] * 4)
