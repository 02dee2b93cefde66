from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.network import Network, resize
from invset.models.reader import Encoder, Reader
from invset.models.unit import parse_unit

Count = Callable[[nn.Module], Counter[str]]


@pytest.fixture
def other(toy: Network) -> Network:
    """Another network, of another input size, whose one layer is linear."""
    randomness = torch.Generator().manual_seed(7)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 5, 4)).double()
    for parameter in module.parameters():
        parameter.data.normal_(generator=randomness)
    return Network("other", module, {"out": "1"}, (3, 5, 5))


def units(network: Network, *texts: str) -> list:  # type: ignore[type-arg]
    return [parse_unit(text, network) for text in texts]


def test_what_is_read_is_what_the_layers_give(toy: Network, images: Tensor) -> None:
    reader = Reader(toy, units(toy, "last:2", "conv:3:max", "fc:volcano", "conv:1"), Encoder(toy, "conv"))
    encodings, activations = reader(images)
    conv = toy.module.get_submodule("conv")(images)
    fc = toy.module.get_submodule("fc")(conv.flatten(1))
    last = toy.module.get_submodule("last")(fc)
    by_hand = [last[:, 1], conv[:, 2].flatten(1).max(dim=1).values, fc[:, 0], conv[:, 0, 3, 2]]
    torch.testing.assert_close(encodings, conv.reshape(5, -1), rtol=0, atol=0)
    torch.testing.assert_close(activations, torch.stack(by_hand, dim=1), rtol=0, atol=0)


def test_an_encoder_of_the_same_network_shares_the_pass(toy: Network, images: Tensor, count_calls: Count) -> None:
    reader = Reader(toy, units(toy, "conv:1", "conv:2:mean"), Encoder(toy, "fc"))
    calls = count_calls(toy.module)
    encodings, activations = reader(images)
    assert (encodings.shape, activations.shape) == ((5, 8), (5, 2))
    assert (calls[""], calls["conv"], calls["fc"], calls["last"]) == (1, 1, 1, 0)


def test_an_encoder_of_another_network_has_a_pass_of_its_own(
    toy: Network, other: Network, images: Tensor, count_calls: Count
) -> None:
    reader = Reader(toy, units(toy, "fc:1"), Encoder(other, "out"))
    calls, other_calls = count_calls(toy.module), count_calls(other.module)
    encodings, _ = reader(images)
    torch.testing.assert_close(encodings, other.module(resize(images, (5, 5))), rtol=0, atol=0)
    assert (calls[""], calls["fc"], calls["last"], other_calls[""]) == (
        1,
        1,
        0,
        2,
    )  # one of the two is the line above


def test_without_an_encoder_the_encodings_are_the_images(toy: Network) -> None:
    large = torch.rand(2, 3, 9, 9, dtype=torch.float64)
    encodings, activations = Reader(toy, units(toy, "fc:1"))(large)
    assert torch.equal(encodings, large.reshape(2, -1))
    assert activations.shape == (2, 1)


def test_gradients_reach_images_of_another_size(toy: Network, other: Network) -> None:
    reader = Reader(toy, units(toy, "last:1", "conv:2:mean", "conv:2:5:3"), Encoder(other, "out"))
    large = torch.rand(1, 3, 8, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(reader, (large.requires_grad_(True),))


def test_encoders_know_their_size_and_encode_alone(toy: Network, images: Tensor) -> None:
    assert (Encoder(toy, "conv").size, Encoder(toy, "fc").size) == (96, 8)
    encodings, _ = Reader(toy, units(toy, "last:1"), Encoder(toy, "fc"))(images)
    assert torch.equal(Encoder(toy, "fc")(images), encodings)
    with pytest.raises(ConfigError, match="no layer 'fc9'"):
        Encoder(toy, "fc9")


def test_units_must_be_of_the_network(toy: Network, other: Network) -> None:
    with pytest.raises(ConfigError, match="network toy has no layer 'out'"):
        Reader(toy, units(other, "out:1"))
    with pytest.raises(ConfigError, match="no unit to read"):
        Reader(toy, [])
