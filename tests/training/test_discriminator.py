"""The class-conditional discriminator, at each size."""

import math

import pytest
import torch

from invset.models.mini import SIZES, Dimensions, MiniNetwork
from invset.training.discriminator import Discriminator
from invset.training.losses import adversarial_loss, discriminator_loss


@pytest.mark.parametrize("size", SIZES)
def test_shapes_and_a_label_that_says_nothing_at_first(size):
    network = MiniNetwork(5, dimensions=Dimensions(size, 0.25, 16))
    discriminator = Discriminator(network, 12)
    images, codes = torch.rand(3, 3, size, size), torch.rand(3, 16)
    features = network.layers(images, ("conv3", "conv5"))
    scores = discriminator(images, features, codes, torch.tensor([0, 4, 2]))
    assert {part.shape for part in scores} == {(3, 2 * 8 * 8)}
    assert not scores.label.any()
    assert scores.code.any()
    torch.nn.init.normal_(discriminator.heads[0].label.weight)
    discriminator.eval()
    one, other = (discriminator(images, features, codes, torch.tensor(labels)) for labels in ([0, 4, 2], [1, 4, 2]))
    changed = (one.label != other.label).any(1)
    assert changed.tolist() == [True, False, False]
    assert torch.equal(one.alone, other.alone)
    assert torch.equal(one.code, other.code)


def test_only_the_length_of_a_code_does_not_count():
    network = MiniNetwork(2, dimensions=Dimensions(32, 0.25, 16))
    discriminator = Discriminator(network, 12).eval()
    images, codes, labels = torch.rand(2, 3, 32, 32), torch.rand(2, 16), torch.tensor([0, 1])
    features = network.layers(images, ("conv3", "conv5"))
    a, b, c = (discriminator(images, features, x, labels).code for x in (codes, 3 * codes, codes.flip(1)))
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c)


def test_hinges_by_hand():
    """One score an image: real 0.5 (code 1, label 0), made -0.25 of its code and 2 of a mixed one."""
    from invset.training.discriminator import Scores

    real = Scores(*(torch.tensor([[x]]) for x in (0.5, 1.0, 0.0)))
    fake = Scores(torch.tensor([[-0.25], [2.0]]), torch.tensor([[0.5], [100.0]]), torch.tensor([[0.25], [1.0]]))
    expected = 0.5 + 0 + (0.75 + 3) / 2 + (1.5 + 4) / 2  # the mixed code's 100 is no one's business
    assert math.isclose(discriminator_loss(real, fake).item(), expected)
    assert math.isclose(adversarial_loss(fake, 1).item(), -(0.5 + 3) / 2)
