"""BatchNorms folded away change nothing, and put back neither: in eval mode, and for one batch in training mode."""

import pytest
import torch
from torch import nn

from invset.models.mini import Dimensions, MiniGenerator, MiniNetwork
from training.folding import fold, unfold

SMALL = Dimensions(32, 0.25, 16)
NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def build(kind: type[nn.Module], norm: bool = True) -> nn.Module:
    return MiniNetwork(3, norm, SMALL) if kind is MiniNetwork else MiniGenerator(norm, SMALL)


@pytest.mark.parametrize(("kind", "shape"), [(MiniNetwork, (40, 3, 32, 32)), (MiniGenerator, (40, 16))])
def test_folded_and_unfolded_compute_the_same(kind, shape):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trained, inputs, others = build(kind).double(), torch.rand(shape).double(), torch.rand(shape).double()
        for layer in trained.modules():
            if isinstance(layer, NORMS):  # as after a training: no statistic at its start
                for tensor in (layer.weight.data, layer.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (layer.bias.data, layer.running_mean):
                    tensor.normal_(0, 0.3)
        fresh = build(kind).double()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    folded = fold(trained)
    assert trained.training
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert not any(isinstance(layer, NORMS) for layer in folded.modules())
    assert build(kind, norm=False).double().load_state_dict(folded.state_dict())
    unfold(folded, fresh, inputs)
    with torch.no_grad():
        torch.testing.assert_close(folded(others), trained.eval()(others), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(fresh.eval()(others), folded(others), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(fresh.train()(inputs), folded(inputs), rtol=1e-6, atol=1e-6)
        assert not torch.allclose(fresh(others + 1), folded(others + 1), atol=1e-3)  # other batches, other norms


def test_a_dead_channel_stays_dead():
    trained, inputs = build(MiniNetwork), torch.rand(8, 3, 32, 32)
    with torch.no_grad():
        trained.conv1[1].weight[0] = trained.conv1[1].bias[0] = 0
    folded, fresh = fold(trained), build(MiniNetwork)
    unfold(folded, fresh, inputs)
    assert all(value.isfinite().all() for value in fresh.state_dict().values())
    torch.testing.assert_close(fresh.eval()(inputs), folded(inputs), rtol=1e-4, atol=1e-5)
