"""Training: a run cut in two is the run in one, bit for bit; the seed decides; something is learnt."""

import json

import pytest
import torch

from invset.errors import ConfigError
from invset.models.mini import MiniNetwork
from training.evaluate import encode
from training.folding import fold
from training.generator import GeneratorSettings, GeneratorTraining
from training.loop import train


def test_a_run_cut_in_two_is_the_run_in_one(any_build, images, equal, tmp_path):
    options = {"report_every": 2}
    whole = any_build(images, images=16)
    train(whole, tmp_path / "whole", **options)
    assert whole.step_number == 4

    for steps in (1, 3, 4):  # a new object each time, as a new process has
        part = any_build(images, images=16)
        limit = Stopping(part, steps)
        train(limit, tmp_path / "parts", **options)
    assert equal(part.state(), whole.state())
    for name in ("network", "generator", "discriminator", "average"):  # whatever the state may leave out
        modules = [getattr(training, name, None) for training in (part, whole)]
        assert equal(*(dict(module.state_dict()) if module else None for module in modules))
    written = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert written[0] == written[1]
    assert [json.loads(line)["step"] for line in written[0].splitlines()] == [2, 4]


class Stopping:
    """A training that ends at a step, as if its time were up."""

    def __init__(self, training, last):
        self.__dict__.update(training=training, last=last)

    @property
    def done(self):
        return self.training.step_number >= self.last

    def __getattr__(self, name):
        return getattr(self.training, name)


def test_the_seed_decides(any_build, images, equal):
    first, second = any_build(images), any_build(images)
    assert equal(first.step(), second.step())
    assert equal(first.state(), second.state())


def test_training_leaves_the_global_generator_alone(images, any_build):
    before = torch.get_rng_state()
    any_build(images).step()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_learns(images, network_training):
    training = network_training(images, images=240)
    while not training.done:
        losses = training.step()
    assert losses["label"] < 0.5
    assert training.evaluate(images) == {"top1": 1.0, "top5": 1.0}


def test_the_generator_learns(images, generator_training):
    training = generator_training(images, images=80, ema=0.7, rate=2e-3)
    held_out, codes = images, encode(training.network, images.images)
    before, _ = training.evaluate(held_out, codes)
    while not training.done:
        training.step()
    after, grid = training.evaluate(held_out, codes)
    assert after["psnr"] > before["psnr"] + 1
    assert grid.shape == (3, 2 * 32, 2 * 32)


def test_rates_fall_to_zero(images, generator_training):
    training = generator_training(images, images=16, decay=0.5)
    rates = []
    while not training.done:
        training.step()
        rates.append(training.generator_adam.param_groups[0]["lr"])
    assert rates == pytest.approx([3e-4, 3e-4, 3e-4, 1.5e-4])


def test_no_mixed_codes(images, small):
    settings = GeneratorSettings(batch=4, mixed=0)
    training = GeneratorTraining(fold(MiniNetwork(2, True, small)), images, settings, seed=0, device="cpu", width=0.25)
    assert "mixed_code" not in training.step()


def test_more_mixed_codes_than_pairs():
    with pytest.raises(ConfigError, match=r"settings\.mixed is 3, and may be at most half of settings\.batch, 2"):
        GeneratorSettings(batch=4, mixed=3)


def test_mixed_codes_move_towards_their_class(images, generator_training):
    training = generator_training(images)
    codes, labels = torch.rand(4, 16), torch.tensor([0, 1, 0, 1])
    network = training.network
    activation = lambda c: network.fc8(network.fc7(c)).gather(1, labels[:2, None])[:, 0]  # noqa: E731
    state = training.rng.get_state()
    mixed = training._mixed_codes(codes, labels)
    assert mixed.shape == (2, 16)
    assert (mixed >= 0).all()
    training.rng.set_state(state)
    t = torch.rand(2, 1, generator=training.rng)
    between = (1 - t) * codes[:2] + t * codes[2:]
    torch.testing.assert_close(mixed[0], between[0])
    assert activation(mixed)[1] > activation(between)[1]


def test_a_code_is_read_among_the_classes_with_images(images, generator_training):
    """Of three units, the one without images is passed over, however high it is."""
    training = generator_training(images)
    training.network.fc8 = torch.nn.Linear(16, 3)
    with torch.no_grad():
        training.network.fc8.weight.zero_()
        training.network.fc8.bias.copy_(torch.tensor([1.0, 9.0, 2.0]))
    training.classes = torch.tensor([0, 2])
    assert training._read(torch.rand(4, 16)).tolist() == [2] * 4
    training.classes = torch.tensor([0])
    assert training._read(torch.rand(4, 16)).tolist() == [0] * 4


def test_the_networks_rate_falls_linearly(images, network_training):
    training = network_training(images, images=16, rate=1e-2)
    rates = []
    while not training.done:
        training.step()
        rates.append(training.adam.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])


def test_the_average_is_exponential(images, generator_training):
    training = generator_training(images, ema=0.75)
    before = {name: value.clone() for name, value in training.average.state_dict().items()}
    training.step()
    now = training.generator.state_dict()
    for name, value in training.average.state_dict().items():
        expected = 0.75 * before[name] + 0.25 * now[name] if value.is_floating_point() else now[name]
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_bf16(images, any_build):
    training = any_build(images, bf16=True)
    assert all(value.isfinite() for value in training.step().values())
    states = [value for part in training.state().values() if isinstance(part, dict) for value in part.values()]
    assert not any(value.dtype == torch.bfloat16 for value in states if isinstance(value, torch.Tensor))
    with pytest.raises(ConfigError, match=r"settings\.bf16 is 'yes', and may be true, false or auto"):
        any_build(images, bf16="yes").step()
