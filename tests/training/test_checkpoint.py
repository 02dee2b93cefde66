"""Checkpoints outlive a kill, are not mixed up, and can be started from."""

import pytest
import torch
from safetensors.torch import save_file

from invset.errors import ConfigError, WeightsError
from invset.models.mini import Dimensions, MiniGenerator, MiniNetwork, load_network
from training.checkpoint import load_checkpoint, save_checkpoint
from training.export import export_network, trained_generator
from training.generator import GeneratorSettings, GeneratorTraining
from training.loop import train
from training.network import NetworkSettings, NetworkTraining


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})

    def killed(state, file):
        file.write(b"half a")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}


def test_a_damaged_checkpoint_ends_in_one_message(images, network_training, tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"training": network_training(images).state(), "sums": {}})
    assert not list(tmp_path.glob("*.tmp"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"checkpoint\.pt: not a checkpoint of this script"):
        train(network_training(images), tmp_path)
    with pytest.raises(WeightsError, match="there is no such checkpoint"):
        load_checkpoint(tmp_path / "absent.pt")


def test_a_run_of_another_size_is_not_gone_on_with(images, network_training):
    """No tensor of the network depends on the size: the shapes would fit."""
    state = network_training(images).state()
    other = NetworkTraining(images, 2, NetworkSettings(), 0, "cpu", None, Dimensions(64, 0.25, 16))
    with pytest.raises(ConfigError, match=r"has size=32, .*config size=64, .*take another out"):
        other.load_state(state)


def test_start_from_a_checkpoint_takes_the_discriminator_too(images, generator_training, equal, tmp_path):
    first = generator_training(images)
    first.step()
    save_checkpoint(tmp_path / "checkpoint.pt", {"training": first.state(), "sums": {}})
    second = generator_training(images, seed=9)
    second.start_from(str(tmp_path / "checkpoint.pt"))
    assert equal(dict(second.generator.state_dict()), dict(first.average.state_dict()))
    assert equal(dict(second.average.state_dict()), dict(first.average.state_dict()))
    assert equal(dict(second.discriminator.state_dict()), dict(first.discriminator.state_dict()))
    assert equal(
        dict(trained_generator(str(tmp_path / "checkpoint.pt")).state_dict()), dict(first.average.state_dict())
    )

    network = MiniNetwork(5, False, first.network.dimensions)  # of other classes: their embeddings are new
    third = GeneratorTraining(network, images, GeneratorSettings(batch=4, mixed=2), 0, "cpu", 0.25)
    third.start_from(str(tmp_path / "checkpoint.pt"))
    taken, new = first.discriminator.state_dict(), third.discriminator.state_dict()
    assert {name for name in new if new[name].shape != taken[name].shape} == {
        f"heads.{i}.label.weight" for i in range(3)
    }
    assert all(torch.equal(new[name], taken[name]) for name in new if "label" not in name)


def test_start_from_unfolded_weights(images, build, equal, tmp_path):
    first, second = build(images), build(images, seed=9)
    module, started = (getattr(x, "generator", None) or x.network for x in (first, second))
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, tmp_path / "own.safetensors")
    second.start_from(str(tmp_path / "own.safetensors"))
    assert equal(dict(started.state_dict()), dict(module.state_dict()))


def test_start_from_exported_network(images, network_training, tmp_path):
    """In eval mode the function of the file, whose fc8 is some times the logits; in float16."""
    first, second = network_training(images, images=40), network_training(images, seed=9)
    while not first.done:
        first.step()
    export_network(first.network.eval(), ("blues", "reds"), tmp_path)
    second.start_from(str(tmp_path / "network.safetensors"))
    x = images.images / 255
    exported = load_network(tmp_path / "network.safetensors")
    torch.testing.assert_close(exported.logit_scale * second.network.eval()(x), exported(x), rtol=1e-4, atol=1e-4)
    three = NetworkTraining(images, 3, NetworkSettings(), 0, "cpu", None, second.network.dimensions)
    head = three.network.fc8.weight.clone()
    three.start_from(str(tmp_path / "network.safetensors"))
    assert torch.equal(three.network.fc8.weight, head)
    x = three.network.eval().layers(x, ("fc7",))["fc7"]
    torch.testing.assert_close(x, exported.layers(images.images / 255, ("fc7",))["fc7"], rtol=1e-4, atol=1e-4)


def test_start_from_what_does_not_fit(images, build, tmp_path):
    with pytest.raises(WeightsError, match=r"shipped: has size=64, .*what is trained size=32"):
        build(images).start_from("shipped")
    with pytest.raises(WeightsError, match=r"absent\.safetensors: there is no such file"):
        build(images).start_from(str(tmp_path / "absent.safetensors"))
    with pytest.raises(WeightsError, match=r"absent\.pt: there is no such checkpoint"):
        build(images).start_from(str(tmp_path / "absent.pt"))
    save_checkpoint(tmp_path / "empty.pt", {"training": {}})
    with pytest.raises(WeightsError, match=r"empty\.pt: cannot start a Mini"):
        build(images).start_from(str(tmp_path / "empty.pt"))
    save_file(MiniGenerator(True).state_dict(), tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match=r"large\.safetensors: (cannot start a MiniGenerator|MiniNetwork has no)"):
        build(images).start_from(str(tmp_path / "large.safetensors"))
