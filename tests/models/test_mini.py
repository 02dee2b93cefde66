"""The built-in model: its layers, its sizes, and damaged files that end in one message."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from invset.errors import ConfigError, WeightsError
from invset.models.labels import class_folders, class_names
from invset.models.mini import (
    DATA,
    SIZES,
    Dimensions,
    MiniGenerator,
    MiniNetwork,
    load_code_statistics,
    load_generator,
    load_network,
    mini_network,
)


def test_residual_blocks_start_as_nothing():
    generator = MiniGenerator(norm=True).eval()
    x = torch.rand(2, 256, 4, 4)
    assert torch.equal(generator.fc[-1](x), x)


def test_children_are_named_as_caffenet_and_give_rectified_outputs():
    network = load_network()
    names = [name for name, _ in network.named_children()]
    assert names == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    kept = {}
    for name, child in network.named_children():
        child.register_forward_hook(lambda module, inputs, output, name=name: kept.__setitem__(name, output))
    result = network(torch.rand(2, 3, 64, 64))
    assert all((kept[name] >= 0).all() for name in names[:-1])
    assert kept["fc6"].shape == (2, 512)
    assert torch.equal(kept["fc8"], result)
    assert result.shape == (2, 1000)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_shipped_generator_inverts_natural_codes():
    statistics, network, generator = load_code_statistics(), load_network(), load_generator()
    assert statistics.bank.shape == (1000, 512)
    assert (statistics.bank >= 0).all()
    torch.testing.assert_close(statistics.bank.mean(), statistics.mean.mean(), rtol=0.05, atol=0)
    torch.testing.assert_close(statistics.bank.std(0).mean(), statistics.deviation.mean(), rtol=0.05, atol=0)

    codes = statistics.bank[::20]
    images = generator(codes)
    assert images.shape == (50, 3, 64, 64)
    assert images.min() >= 0
    assert images.max() <= 1
    kept = []
    network.fc6.register_forward_hook(lambda module, inputs, output: kept.append(output))
    network(images)
    own = (kept[0] - codes).square().sum()
    others = (kept[0] - codes.roll(1, 0)).square().sum()
    assert own < 0.4 * codes.square().sum()
    assert own < 0.4 * others


def test_shipped_activations_are_on_the_documented_scale():
    """fc8 is a multiple of logits: the codes of training images reach tens, not units."""
    network, codes = load_network(), load_code_statistics().bank
    top = network.fc8(network.fc7(codes)).max(1).values
    assert 15 < top.quantile(0.5) < 80


def test_class_names_are_imagenets():
    assert len(class_names()) == len(class_folders()) == 1000
    assert class_names()[1] == "goldfish"
    assert class_names()[980] == "volcano"
    assert class_folders()[1] == "n01443537"
    assert list(class_folders()) == sorted(class_folders())


def test_own_class_names(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("cat\nred dog\n", encoding="utf-8")
    assert class_folders(path) == ("cat", "red dog")
    with pytest.raises(WeightsError, match=r"absent\.txt: cannot read the class names"):
        class_names(tmp_path / "absent.txt")


LOADERS = [
    (load_network, "network.safetensors"),
    (load_generator, "generator.safetensors"),
    (load_code_statistics, "generator.safetensors"),
]


@pytest.mark.parametrize(("load", "shipped"), LOADERS)
def test_missing_file(load, shipped, tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.safetensors: there is no such file"):
        load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize(("load", "shipped"), LOADERS)
@pytest.mark.parametrize("kept", [0, 100_000])
def test_truncated_file(load, shipped, kept, tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes((DATA / shipped).read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"short\.safetensors: (cannot be read as safetensors|is empty)"):
        load(path)


@pytest.mark.parametrize(
    ("load", "shipped", "name", "shape"),
    [
        (load_network, "network.safetensors", "fc6.0.weight", (512, 2047)),
        (load_network, "network.safetensors", "fc8.bias", (999,)),
        (load_generator, "generator.safetensors", "low.weight", (192, 511)),
    ],
)
def test_wrong_shape(load, shipped, name, shape, tmp_path):
    path = tmp_path / "wrong.safetensors"
    save_file(load_file(DATA / shipped) | {name: torch.zeros(shape)}, path)
    with pytest.raises(WeightsError, match=rf"wrong\.safetensors: {name} should .*{shape[-1]}"):
        load(path)


def test_network_of_other_classes(tmp_path):
    path = tmp_path / "own.safetensors"
    save_file(MiniNetwork(3).state_dict(), path)
    assert load_network(path)(torch.rand(1, 3, 64, 64)).shape == (1, 3)


def test_a_file_says_how_many_times_logits_its_fc8_is(tmp_path):
    """It is 4 times in files from before they said it."""
    path, state = tmp_path / "own.safetensors", MiniNetwork(3, dimensions=Dimensions(32, 0.125, 8)).state_dict()
    for said, scale in (({"logit_scale": "2.5"}, 2.5), ({}, 4)):
        save_file(state, path, {"size": "32"} | said)
        assert mini_network(path).logit_scales == {"fc8": scale}


def test_a_generator_is_no_network():
    with pytest.raises(WeightsError, match="has not the tensors of such a model"):
        load_network(DATA / "generator.safetensors")


@pytest.mark.parametrize("size", SIZES)
def test_any_size(size):
    """The network ends at 4x4 after log2(size / 4) halvings; conv3 to conv5 see 16x16."""
    dimensions = Dimensions(size, 0.125, 8)
    network, generator = MiniNetwork(3, True, dimensions), MiniGenerator(True, dimensions)
    images = generator(torch.rand(2, 8))
    assert images.shape == (2, 3, size, size)
    outputs = network.layers(images, [name for name, _ in network.named_children()])
    shapes = {name: tuple(output.shape[1:]) for name, output in outputs.items()}
    assert shapes["conv1"] == (4, size, size)
    assert shapes["conv3"] == shapes["conv4"] == shapes["conv5"] == (16, 16, 16)
    assert (shapes["fc6"], shapes["fc7"], shapes["fc8"]) == ((8,), (8,), (3,))
    assert 2 ** sum(network.pools.values()) == size // 4


@pytest.mark.parametrize(
    ("load", "shipped", "size", "changed", "message"),
    [
        (load_network, "network", "48", {}, "size is 48, and may be"),
        (load_generator, "generator", "128", {}, "up.2.3.body.0.weight should be .64, 64, 3, 3., is absent"),
        (load_generator, "generator", "64", {"fc.0.weight": (4096, 0)}, "code is 0"),
        (load_network, "network", "64", {"conv1.0.weight": (33, 3, 5, 5)}, r"width is 1\.03125"),
        (load_network, "network", "64", {"fc8.weight": ()}, "has not the tensors of such a model"),
        (load_code_statistics, "generator", "64", {"codes.bank": (10, 511)}, "carries no mean, deviation and bank"),
    ],
)
def test_what_is_no_such_model(load, shipped, size, changed, message, tmp_path):
    path = tmp_path / "wrong.safetensors"
    state = load_file(DATA / f"{shipped}.safetensors") | {name: torch.zeros(shape) for name, shape in changed.items()}
    save_file(state, path, {"size": size})
    with pytest.raises(WeightsError, match=rf"wrong\.safetensors: .*{message}"):
        load(path)


def test_dimensions_of_the_shipped_model():
    """What is shipped says nothing of its size: it is from before there were others."""
    assert load_network().dimensions == load_generator().dimensions == Dimensions(64, 1, 512)
    generator = MiniGenerator(norm=True)
    shapes = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    assert shapes["up.0.4.body.0.weight"] == (160, 160, 3, 3)
    assert shapes["up.2.1.weight"] == (64, 96, 3, 3)
    assert shapes["up.3.weight"] == (48, 64, 3, 3)
    assert shapes["up.6.weight"] == (12, 48, 3, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 48}, "size is 48, and may be 32, 64, 128, 256"),
        ({"width": 0}, r"width is 0, and may be a multiple of 1/8 from 0\.125 to 8"),
        ({"width": 0.3}, r"width is 0\.3"),
        ({"width": "wide"}, "width is wide"),
        ({"code": 0}, "code is 0, and may be a whole number from 8 to 8192"),
    ],
)
def test_no_such_model(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Dimensions(**wrong)


def test_layers_are_what_hooks_see():
    network, kept = load_network(), {}
    names = [name for name, _ in network.named_children()]
    for name, child in network.named_children():
        child.register_forward_hook(lambda module, inputs, output, name=name: kept.__setitem__(name, output))
    images = torch.rand(2, 3, 64, 64)
    result = network(images)
    seen, outputs = dict(kept), network.layers(images, names)
    assert list(outputs) == list(seen) == names
    assert all(torch.equal(outputs[name], seen[name]) for name in names)
    assert torch.equal(outputs["fc8"], result)
    kept.clear()
    assert list(network.layers(images, ("conv3", "conv5"))) == ["conv3", "conv5"]
    assert "fc6" not in kept


def test_loading_leaves_the_global_generator_alone():
    """No weight is drawn, nor memory filled, before the file's shapes are known to fit."""
    before = torch.get_rng_state()
    load_network()
    load_generator()
    assert torch.equal(torch.get_rng_state(), before)
