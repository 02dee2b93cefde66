"""The class-conditional discriminator, at each size."""

import math

import pytest
import torch

from invset.models.mini import SIZES, Dimensions, MiniNetwork
from training.discriminator import Discriminator, Scores, adversarial_loss, discriminator_loss


@pytest.mark.parametrize("size", SIZES)
def test_shapes_and_a_label_that_says_nothing_at_first(size):
    network = MiniNetwork(5, dimensions=Dimensions(size, 0.25, 16))
    discriminator = Discriminator(network, {"conv3": 32, "conv5": 32}, 12)
    images, codes = torch.rand(3, 3, size, size), torch.rand(3, 16)
    features = network.layers(images, ("conv3", "conv5"))
    scores = discriminator(images, features, codes, torch.tensor([0, 4, 2]))
    assert [{tuple(part.shape) for part in head} for head in scores] == [{(3, 64)}, {(3, 256)}, {(3, 256)}]
    assert not any(head.label.any() for head in scores)
    assert all(head.code.any() for head in scores)
    torch.nn.init.normal_(discriminator.heads[0].label.weight)
    discriminator.eval()
    one, other = (discriminator(images, features, codes, torch.tensor(labels))[0] for labels in ([0, 4, 2], [1, 4, 2]))
    changed = (one.label != other.label).any(1)
    assert changed.tolist() == [True, False, False]
    assert torch.equal(one.alone, other.alone)
    assert torch.equal(one.code, other.code)


def test_only_the_length_of_a_code_does_not_count():
    network = MiniNetwork(2, dimensions=Dimensions(32, 0.25, 16))
    discriminator = Discriminator(network, {"conv3": 32, "conv5": 32}, 12).eval()
    images, codes, labels = torch.rand(2, 3, 32, 32), torch.rand(2, 16), torch.tensor([0, 1])
    features = network.layers(images, ("conv3", "conv5"))
    a, b, c = (discriminator(images, features, x, labels) for x in (codes, 3 * codes, codes.flip(1)))
    for head in range(3):
        torch.testing.assert_close(a[head].code, b[head].code)
        assert not torch.allclose(a[head].code, c[head].code)


def test_each_head_sees_its_own_input():
    """Pixels, or one of the maps, each of its own channels and size."""
    network = MiniNetwork(2, dimensions=Dimensions(32, 0.25, 16))
    discriminator = Discriminator(network, {"a": 3, "b": 5}, 12).eval()
    images, codes, labels = torch.rand(2, 3, 32, 32), torch.rand(2, 16), torch.tensor([0, 1])
    maps = {"b": torch.rand(2, 5, 2, 3), "a": torch.rand(2, 3, 7, 7)}
    before = discriminator(images, maps, codes, labels)
    assert [tuple(head.alone.shape) for head in before] == [(2, 64), (2, 49), (2, 6)]
    others = [(1 - images, maps), (images, maps | {"a": maps["a"] + 1}), (images, maps | {"b": maps["b"] + 1})]
    for changed, (pixels, seen) in enumerate(others):
        after = discriminator(pixels, seen, codes, labels)
        assert [torch.equal(a.alone, b.alone) for a, b in zip(after, before, strict=True)].count(False) == 1
        assert not torch.equal(after[changed].alone, before[changed].alone)


def test_without_maps_there_is_one_head():
    network = MiniNetwork(2, dimensions=Dimensions(32, 0.25, 16))
    scores = Discriminator(network, {}, 12)(torch.rand(2, 3, 32, 32), {}, torch.rand(2, 16), torch.tensor([0, 1]))
    assert len(scores) == 1


def test_hinges_by_hand():
    """One score an image: real 0.5 (code 1, label 0), made -0.25 of its code and 2 of a mixed one."""
    real = Scores(*(torch.tensor([[x]]) for x in (0.5, 1.0, 0.0)))
    fake = Scores(torch.tensor([[-0.25], [2.0]]), torch.tensor([[0.5], [100.0]]), torch.tensor([[0.25], [1.0]]))
    expected = 0.5 + 0 + (0.75 + 3) / 2 + (1.5 + 4) / 2  # the mixed code's 100 is no one's business
    assert math.isclose(discriminator_loss([real], [fake]).item(), expected)
    assert math.isclose(adversarial_loss([fake], 1).item(), -(0.5 + 3) / 2)

    sure = Scores(*(torch.tensor([[2.0, 2.0, 2.0]]) for _ in range(3)))  # of three places
    caught = Scores(*(torch.full((2, 3), -2.0) for _ in range(3)))
    assert discriminator_loss([sure], [caught]) == 0
    assert math.isclose(discriminator_loss([real, sure], [fake, caught]).item(), expected / 2)
    assert math.isclose(adversarial_loss([fake, caught], 1).item(), (-(0.5 + 3) / 2 + (6 + 4) / 2) / 2)
