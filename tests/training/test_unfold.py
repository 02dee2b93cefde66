"""Unfolded weights are the folded function: for any batch in eval mode, for the calibration's in training mode."""

import pytest
import torch

from invset.models.mini import Dimensions, MiniGenerator, MiniNetwork, fold
from invset.training.unfold import unfold

SMALL = Dimensions(32, 0.25, 16)


def network(norm):
    return MiniNetwork(3, norm, SMALL)


def generator(norm):
    return MiniGenerator(norm, SMALL)


@pytest.mark.parametrize(("build", "shape"), [(network, (40, 3, 32, 32)), (generator, (40, 16))])
def test_unfolded_equals_folded(build, shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained, inputs, others = build(True), torch.rand(shape).double(), torch.rand(shape).double()
        for layer in trained.modules():
            if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                for tensor in (layer.weight.data, layer.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (layer.bias.data, layer.running_mean):
                    tensor.normal_(0, 0.3)
        fresh = build(True).double()
    folded = fold(trained).double().eval()
    unfold(folded, fresh, inputs)
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(others), folded(others), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(fresh.train()(inputs), folded(inputs), rtol=1e-6, atol=1e-6)
        assert not torch.allclose(fresh(others + 1), folded(others + 1), atol=1e-3)  # other batches, other norms


def test_a_dead_channel_stays_dead():
    trained, inputs = network(True), torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        trained.conv1[1].weight[0] = trained.conv1[1].bias[0] = 0
    folded, fresh = fold(trained), network(True)
    unfold(folded, fresh, inputs)
    assert all(value.isfinite().all() for value in fresh.state_dict().values())
    torch.testing.assert_close(fresh.eval()(inputs), folded(inputs), rtol=1e-4, atol=1e-5)
