"""Distillation on made images: chains of codes, what is learnt of a teacher, and what stays as it was."""

import copy

import pytest
import torch

from invset.errors import ConfigError
from invset.models.mini import Dimensions, MiniGenerator
from invset.models.network import CodeStatistics
from training.distil import DistilTraining
from training.evaluate import encode, relative_error


def test_the_network_comes_to_agree_with_its_teacher(images, distil_training, reddish):
    """On images made of fresh codes, which it has not climbed; the rest stays as it was, and fc6 nearly so."""
    training = distil_training(images, batch=12, images=45 * 12, rate=3e-2, trunk_rate=5e-4, code=10.0, warmup=5)
    fixed = (training.first, training.generator, reddish.module)
    before = [[value.clone() for value in module.state_dict().values()] for module in fixed]
    with torch.no_grad():
        made = training.generator(2 * torch.rand(200, 16, generator=torch.Generator().manual_seed(7)))
        said = reddish.read(["fc8"], made)["fc8"] / 2
    assert 0.2 < said.argmax(1).float().mean() < 0.8  # neither answer is right by itself

    def figures():
        with torch.no_grad():
            logits = training.network(made) / 4
        loss = torch.nn.functional.cross_entropy(logits, said.softmax(1)).item()
        return loss, (logits.argmax(1) == said.argmax(1)).float().mean().item()

    loss, agreement = figures()
    while not training.done:
        losses = training.step()
    after = figures()
    assert after[0] < 0.7 * loss
    assert after[1] > max(agreement, 0.9)
    for module, values in zip(fixed, before, strict=True):
        assert all(map(torch.equal, module.state_dict().values(), values))
    assert losses["code"] < 0.05
    assert 0 < relative_error(encode(training.network, made), encode(training.first, made)) < 0.05
    assert training.evaluate(images)["top1"] == 1


def test_the_first_step_by_hand(images, distil_training, reddish):
    """The network is still the first: its code loss is 0, and its other losses are plain cross-entropies."""
    training = distil_training(images, smoothing=0.0)
    made = []
    climb = training._climb
    training._climb = lambda: made.append(climb()) or made[0]
    losses = training.step()
    said = reddish.read(["fc8"], made[0])["fc8"] / 2
    logits = training.first(made[0]) / 4
    assert losses["code"] < 1e-8
    expected = -(said.softmax(1) * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses["made"], expected, rtol=1e-4, atol=1e-5)
    assert losses["agreement"] == (logits.argmax(1) == said.argmax(1)).float().mean()
    assert losses["reached"] == 1  # two units are always among the first five
    assert torch.equal((255 * made[0]).round() / 255, made[0])


def test_chains_climb_their_unit_and_stay_real(images, distil_training):
    training = distil_training(images, batch=8, longest=1000, longest_step=0.03, images=8 * 1000)
    training.step()
    start, targets = training.codes.clone(), training.targets.clone()

    def heights(codes):
        with torch.no_grad():
            return training.first(training.generator(codes)).gather(1, targets[:, None])[:, 0]

    for _ in range(10):
        training._climb()
        assert (training.codes >= 0).all()
    alive = training.left > 0
    assert torch.equal(training.targets[alive], targets[alive])
    assert alive.sum() > 4
    assert (heights(training.codes)[alive] > heights(start)[alive]).float().mean() > 0.7


def test_a_move_is_as_long_as_its_chain_says(images, distil_training):
    training = distil_training(images, moves=1)
    training._renew()
    codes, lengths = training.codes.clone(), training.lengths.clone()
    training.left += 10
    training._climb()
    moved = (training.codes - codes).norm(dim=1) / codes.norm(dim=1)
    assert (moved <= lengths + 1e-5).all()  # the ReLU may shorten it
    assert (moved > 0).all()
    s = training.settings
    assert ((lengths >= s.shortest_step) & (lengths <= s.longest_step)).all()


def test_chains_begin_again_when_their_life_ends(images, distil_training):
    training = distil_training(images, batch=4, moves=2)
    training._renew()
    training.left = torch.tensor([0, 5, -1, 1])
    codes, targets, lengths = (value.clone() for value in (training.codes, training.targets, training.lengths))
    training._renew()
    went_on = torch.tensor([False, True, False, True])
    assert (training.codes == codes).all(1).tolist() == went_on.tolist()
    assert torch.equal(training.lengths == lengths, went_on)
    assert torch.equal(training.targets[went_on], targets[went_on])
    assert training.left[went_on].tolist() == [3, -1]
    assert all(-1 <= left <= training.settings.longest - 2 for left in training.left[~went_on].tolist())


def test_starts_are_natural_codes_or_normal_ones_and_units_those_asked_for(images, distil_training):
    training = distil_training(images, batch=400, known=1.0, classes=torch.tensor([1]))
    training._renew()
    bank = training.statistics.bank
    real = (training.codes[:, None] == bank).all(2).any(1).float().mean().item()
    assert real == pytest.approx(0.5, abs=0.1)
    assert (training.codes >= 0).all()
    assert set(training.targets.tolist()) == {1}
    training = distil_training(images, batch=400, known=0.0, classes=torch.tensor([1]))
    training._renew()
    assert training.targets.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_rates_rise_and_fall(images, distil_training):
    training = distil_training(images, images=16, rate=1e-2, trunk_rate=1e-4, warmup=2)
    rates = []
    while not training.done:
        training.step()
        rates.append([group["lr"] for group in training.adam.param_groups])
    assert [pytest.approx([100 * low, low]) == [high, low] for high, low in rates] == [True] * 4
    assert [high for high, _ in rates] == pytest.approx([5e-3, 7.5e-3, 5e-3, 2.5e-3])
    assert distil_training(images, warmup=0).step()["label"].isfinite()


def test_a_state_carries_the_chains(images, distil_training, equal):
    whole = distil_training(images)
    for _ in range(3):
        whole.step()
    state = copy.deepcopy(whole.state())  # a file holds what is, not what the next step makes of it
    resumed = distil_training(images, seed=9)
    resumed.load_state(state)
    assert state["chains"]["left"].tolist() == resumed.left.tolist()
    for _ in range(3):
        assert equal(whole.step(), resumed.step())
    assert equal(whole.state(), resumed.state())


def test_mistakes(images, distil_training, reddish):
    good = distil_training(images)
    empty = CodeStatistics(torch.zeros(16), torch.ones(16), torch.zeros(0, 16))
    rest = (reddish, images, None, good.settings, 0, "cpu")
    with pytest.raises(ConfigError, match="carries no natural codes"):
        DistilTraining(good.first, good.generator, empty, *rest)
    other = MiniGenerator(dimensions=Dimensions(32, 0.25, 24))
    with pytest.raises(ConfigError, match="network has size=32, code=16, the generator size=32, code=24"):
        DistilTraining(good.first, other, good.statistics, *rest)
