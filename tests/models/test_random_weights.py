import torch
from torch import nn

from invset.models.random_weights import he_state


def test_activations_keep_their_size_through_depth() -> None:
    layers: list[nn.Module] = []
    for _ in range(8):
        layers += [nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1), nn.LeakyReLU(0.3)]
        layers += [nn.Conv2d(32, 32, 2, stride=2), nn.LeakyReLU(0.3)]
    module = nn.Sequential(*layers)
    module.load_state_dict(he_state(module, 0, leak=0.3))
    images = torch.randn(4, 32, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        size = module(images).square().mean().item()
    assert 0.3 < size < 3  # 16 layers; a deviation 20 % off would give 19 times more or less


def test_groups_sum_fewer_inputs() -> None:
    module = nn.Sequential(nn.Conv2d(64, 64, 3, groups=2), nn.Linear(50, 300, bias=False))
    state = he_state(module, 0)
    assert abs(state["0.weight"].std().item() / (2 / (32 * 9)) ** 0.5 - 1) < 0.03
    assert abs(state["1.weight"].std().item() / (2 / 50) ** 0.5 - 1) < 0.03
    assert set(state) == {"0.weight", "0.bias", "1.weight"}
    assert not state["0.bias"].any()


def test_weights_depend_on_their_seed_alone() -> None:
    module = nn.Linear(3, 3)
    before = torch.get_rng_state()
    first, again, other = (he_state(nn.Sequential(module), seed)["0.weight"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
