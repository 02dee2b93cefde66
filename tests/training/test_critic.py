"""The critic's maps, and the generator's training with one."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from invset.errors import ConfigError, WeightsError
from invset.models.network import Network
from invset.models.registry import build_network
from training.critic import Critic
from training.loop import train


@pytest.fixture(scope="module")
def lite():
    return build_network("efficientnet_lite1", size=32)


def eyes(seed: int = 0) -> Network:
    """Two maps of a small network of one's own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(
            OrderedDict(a=nn.Conv2d(3, 5, 3, 2), b=nn.Conv2d(5, 7, 3, 2), pool=nn.AdaptiveAvgPool2d(1), c=nn.Flatten())
        )
    return Network("eyes", module, {"a": "a", "b": "b", "c": "c"}, (3, 32, 32))


def test_maps_have_unit_root_mean_square_on_the_photographs(images, lite):
    photographs, layers = images.images / 255, ("block2", "block7")
    critic = Critic(lite, layers, photographs)
    maps = critic(photographs)
    assert critic.channels == {name: maps[name].shape[1] for name in layers}
    with torch.no_grad():
        raw = lite.read(layers, photographs)
    for name in layers:
        assert maps[name].square().mean().sqrt().item() == pytest.approx(1, abs=1e-4)
        torch.testing.assert_close(maps[name] * raw[name].square().mean().sqrt(), raw[name], rtol=1e-4, atol=1e-4)
    half = critic(photographs / 2)  # other images are measured by the same rod
    with torch.no_grad():
        expected = lite.read(layers, photographs / 2)["block2"] / raw["block2"].square().mean().sqrt()
    torch.testing.assert_close(half["block2"], expected, rtol=1e-4, atol=1e-4)


def test_gradients_reach_the_images_and_not_the_weights(lite):
    critic = Critic(lite, ["block4"], torch.rand(2, 3, 32, 32))
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    critic(images)["block4"].square().mean().backward()
    assert images.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(not p.requires_grad and p.grad is None for p in lite.module.parameters())


def test_half_precision_is_not_for_a_cpus_critic(lite):
    critic, images = Critic(lite, ["block2"], torch.rand(2, 3, 32, 32)), torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(critic(images)["block2"], critic(images.bfloat16().float())["block2"]) is False
        assert critic(images.bfloat16())["block2"].dtype == torch.float32


def test_layers_that_are_no_maps():
    with pytest.raises(ConfigError, match="network eyes has no layer 'block99'"):
        Critic(eyes(), ["a", "block99"], torch.rand(1, 3, 32, 32))
    with pytest.raises(ConfigError, match=r"critic\.layers: c of eyes is no map"):
        Critic(eyes(), ["a", "c"], torch.rand(1, 3, 32, 32))
    with pytest.raises(ConfigError, match=r"critic\.layers: there are none"):
        Critic(eyes(), [], torch.rand(1, 3, 32, 32))


def test_training_with_a_critic_and_without(images, generator_training):
    critic = Critic(eyes(), ["a", "b"], images.images / 255)
    before = [value.clone() for value in critic.network.module.state_dict().values()]
    with_critic, without = generator_training(images, critic=critic), generator_training(images)
    losses = with_critic.step()
    assert losses["critic"] > 0
    assert all(value.isfinite() for value in losses.values())
    assert "critic" not in without.step()
    assert set(with_critic.discriminator.maps) == {"a", "b"}
    assert set(without.discriminator.maps) == {"conv3", "conv5"}
    assert all(map(torch.equal, critic.network.module.state_dict().values(), before))


def test_the_critic_counts_by_its_weight(images, generator_training, equal):
    """A step with weight 0 gives other weights than one with weight 1, and the losses before it are the same."""
    critic = Critic(eyes(), ["a"], images.images / 255)
    none, all_ = (generator_training(images, critic=critic, warmup=9, critic_weight=weight) for weight in (0.0, 1.0))
    first, second = none.step(), all_.step()
    assert first["critic"] == second["critic"]
    assert not equal(none.generator.state_dict()["low.weight"], all_.generator.state_dict()["low.weight"])
    assert equal(dict(none.discriminator.state_dict()), dict(all_.discriminator.state_dict()))


def test_a_run_with_a_critic_goes_on_exactly(images, generator_training, equal, tmp_path):
    def build(steps):
        return generator_training(images, critic=Critic(eyes(), ["a", "b"], images.images / 255), images=4 * steps)

    whole = build(4)
    train(whole, tmp_path / "whole")
    part = build(4)
    part.step()
    part.step()
    state = part.state()
    resumed = build(4)
    resumed.load_state(state)
    while not resumed.done:
        resumed.step()
    assert equal(resumed.state(), whole.state())
    with pytest.raises(WeightsError, match=r"checkpoint\.pt: of another stage or critic, .* take another out="):
        train(generator_training(images, images=16), tmp_path / "whole")
