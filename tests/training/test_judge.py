"""Samples of units at ranges fitted to them, and what judges say of images whose answer is known."""

import pytest
import torch
from torch import nn

from invset.models import registry
from invset.models.network import CodeStatistics, Generator, Network
from training.judge import JudgeSettings, Samples, Verdict, judge, mean_shares, sample_units, top_shares

FEW = {"samples": 6, "chains": 3, "steps": 8}


class Levels(nn.Module):
    """fc8 of an image is a fixed ranking of seven units, by the image's first red value of 0, 1, 2 …"""

    def __init__(self, rankings):
        super().__init__()
        self.fc8 = nn.Identity()
        self.heights = nn.Parameter(torch.zeros(len(rankings), 7))
        with torch.no_grad():
            for image, ranking in enumerate(rankings):
                self.heights[image, ranking] = torch.arange(7.0, 0, -1)

    def forward(self, images):
        return self.fc8(self.heights[(255 * images[:, 0, 0, 0]).round().long()])


def test_shares_count_the_first_and_the_first_five():
    rankings = [[3, 0, 1, 2, 4, 5, 6], [0, 3, 1, 2, 4, 5, 6], [0, 1, 2, 4, 3, 5, 6], [0, 1, 2, 4, 5, 3, 6]]
    levels = Network("levels", Levels(rankings), {"fc8": "fc8"}, (3, 4, 4))
    images = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)
    images[:, 0] = torch.tensor([0, 1, 2, 3, 0])[:, None, None]
    for batch in (2, 64):
        assert top_shares(levels, images, 3, batch) == pytest.approx((2 / 5, 4 / 5))
        assert top_shares(levels, images, 0, batch) == pytest.approx((3 / 5, 1))
        assert top_shares(levels, images, 6, batch) == (0, 0)
    assert top_shares(levels, images[:0], 3) == (0, 0)
    assert judge(Samples(0, 1.0, 2.0, images), {"a": levels}) == Verdict(1.0, 2.0, 5, {"a": pytest.approx((0.6, 1))})


def test_a_judge_of_few_units(reddish):
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    images[:3, 0] = 255
    images[3, 2] = 255
    assert top_shares(reddish, images, 1) == (0.75, 1)
    assert top_shares(reddish, images, 0) == (0.25, 1)


def test_every_unit_counts_as_much():
    verdicts = [Verdict(0, 1, 50, {"a": (1.0, 1.0), "b": (0.5, 0.75)}), Verdict(0, 1, 2, {"a": (0, 0.5), "b": (0, 0)})]
    assert mean_shares(verdicts, "a") == (0.5, 0.75)
    assert mean_shares(verdicts, "b") == (0.25, 0.375)


OWN = {"network": {"kind": "own"}, "generator": {"kind": "own"}, "device": "cpu"}


@pytest.fixture
def models(monkeypatch):
    """Units that rise with red and with blue, of images that a linear generator makes; fc8 is 5 times their means."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = nn.Sequential(nn.Linear(6, 3 * 8 * 8), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))
        network = nn.Sequential()
        network.add_module("fc6", nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.ReLU()))
        network.add_module("fc8", nn.Linear(6, 3))
        bank = torch.rand(10, 6)
    with torch.no_grad():
        network[0][1].weight.copy_(torch.rand(6, 192, generator=torch.Generator().manual_seed(1)) / 10)
        network[1].weight[:2] = network[1].weight[:2].abs()
        network[1].weight[2] = 0
        network[1].bias.copy_(torch.tensor([0.0, 0.0, -1.0]))
    statistics = CodeStatistics(bank.mean(0), bank.std(0), bank)
    own = Network("own", network, {"fc6": "fc6", "fc8": "fc8"}, (3, 8, 8))
    monkeypatch.setitem(registry.NETWORKS, "own", lambda: own)
    monkeypatch.setitem(registry.GENERATORS, "own", lambda: Generator("own", generator, 6, (3, 8, 8), statistics))
    return own


def test_samples_are_in_the_range(models):
    """The activation is that of the 8-bit images, computed here by the bare module."""
    narrow = JudgeSettings(**FEW, low=0.9, high=0.95)
    for row, samples in zip((1, 0), sample_units(OWN, [1, 0], narrow, 0), strict=True):
        assert samples.row == row
        assert 0 < samples.low < samples.high
        assert samples.low / samples.high == pytest.approx(0.9 / 0.95)
        assert samples.images.dtype == torch.uint8
        assert samples.images.shape == (6, 3, 8, 8)
        activations = models.module(samples.images.float() / 255)[:, row]
        assert ((activations >= samples.low - 1e-4) & (activations <= samples.high + 1e-4)).all()
        assert len(samples.images.flatten(1).unique(dim=0)) == 6
        alone = next(sample_units(OWN, [row], narrow, 0))
        assert torch.equal(alone.images, samples.images)


def test_what_is_not_reached_is_not_seen(models):
    high = JudgeSettings(**FEW, low=50, high=51)
    below_zero = JudgeSettings(**FEW)
    for row, settings in ((0, high), (2, below_zero)):
        (samples,) = sample_units(OWN, [row], settings, 0)
        assert samples.images.shape == (0, 3, 8, 8)
        assert samples.images.dtype == torch.uint8
        assert judge(samples, {"own": models}).seen == {"own": (0, 0)}
        assert judge(samples, {"own": models}).samples == 0
