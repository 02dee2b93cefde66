import torch
from torch import nn

from invset.models.colours import Colours
from invset.models.random_weights import drawing, he_state, hollow, noise, randomise


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


class Odd(nn.Module):
    """Computes with tensors while it is built, as RegNet does, and draws what it does not leave to layers."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        widths = [int(width) for width in (torch.arange(2) * 3 + 2).tolist()]
        self.conv = nn.Conv2d(3, widths[1], 3)
        self.norm = nn.BatchNorm2d(widths[1])
        self.scale = nn.Parameter(torch.full((widths[1], 1, 1), 1e-6))
        self.token = nn.Parameter(torch.randn(1, 5))
        self.position = nn.Parameter(torch.empty(1, 5).normal_(std=0.02))
        self.register_buffer("table", torch.arange(6), persistent=False)
        self.fc = nn.Linear(widths[1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x)) * self.scale
        output: torch.Tensor = self.fc(x.mean((2, 3)) + self.token + self.position)
        return output


def test_layers_weights_take_no_memory_and_the_rest_is_there() -> None:
    module = hollow(Odd)
    assert module.conv.weight.is_meta
    assert module.norm.weight.is_meta
    assert module.fc.bias.is_meta
    assert module.table.tolist() == [0, 1, 2, 3, 4, 5]
    assert not module.token.is_meta


def test_drawing_is_seeded_and_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (hollow(Odd, seed).token for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    with drawing(3):
        drawn = torch.rand(2)
    assert torch.equal(drawn, torch.rand(2, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(before, torch.get_rng_state())


def test_random_weights_fill_whatever_there_is() -> None:
    module = hollow(Odd)
    token = module.token.clone()
    images = noise(0, 16)
    randomise("odd", module, 0, Colours(), 16)
    assert not any(tensor.is_meta for tensor in module.state_dict().values())
    assert torch.equal(module.token, token)
    assert torch.equal(module.scale, torch.ones(5, 1, 1))
    assert 0.005 < module.position.std() < 0.05
    with torch.no_grad():
        normed = module.norm(module.conv(images))
    torch.testing.assert_close(normed.mean((0, 2, 3)), torch.zeros(5), rtol=0, atol=1e-4)
    torch.testing.assert_close(normed.std((0, 2, 3)), torch.ones(5), rtol=0, atol=1e-2)


def test_noise_is_of_the_seed_and_small_images_are_many() -> None:
    assert torch.equal(noise(1, 32), noise(1, 32))
    assert not torch.equal(noise(1, 32), noise(2, 32))
    assert noise(0, 224).shape == (24, 3, 224, 224)
    assert noise(0, 8).shape == (64, 3, 8, 8)
    assert noise(0, 64).min() >= 0
    assert noise(0, 64).max() <= 1
