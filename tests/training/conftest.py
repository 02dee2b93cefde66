"""A folder of images of two classes, and small models: seconds of training on one core."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from invset.models.mini import Dimensions, MiniGenerator, MiniNetwork
from invset.models.network import CodeStatistics, Network
from training.data import ImageSet, load_images, unit_folders
from training.distil import DistilSettings, DistilTraining
from training.folding import fold
from training.generator import GeneratorSettings, GeneratorTraining
from training.network import NetworkSettings, NetworkTraining


@pytest.fixture(autouse=True, scope="module")  # before fixtures that train, which are of this scope
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Six 80x64 images each of two classes of one's own: reddish and bluish noise."""
    root = tmp_path_factory.mktemp("images")
    rng = torch.Generator().manual_seed(0)
    for name, tint in (("reds", (255, 60, 60)), ("blues", (60, 60, 255))):
        (root / name).mkdir()
        for i in range(6):
            pixels = (torch.rand(64, 80, 3, generator=rng) * torch.tensor(tint)).byte().numpy()
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def small() -> Dimensions:
    return Dimensions(32, 0.25, 16)


@pytest.fixture(scope="session")
def images(folder) -> ImageSet:
    return load_images(folder, unit_folders(folder), size=32)


@pytest.fixture(scope="session")
def network_training(small):
    def build(data, *, compile=False, seed=3, **settings):
        small_settings = NetworkSettings(**{"batch": 4, "shift": 2} | settings)
        return NetworkTraining(data, 2, small_settings, seed, "cpu", None, small, compile)

    return build


@pytest.fixture(scope="session")
def generator_training(small):
    def build(data, *, compile=False, seed=3, critic=None, critic_weight=0.7, **settings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            network = fold(MiniNetwork(2, True, small))
        own = {"batch": 4, "mixed": 2, "warmup": 1, "shift": 2, "critic": critic_weight}
        small_settings = GeneratorSettings(**own | settings)
        return GeneratorTraining(network, data, small_settings, seed, "cpu", small.width, compile, critic)

    return build


@pytest.fixture(scope="session")
def distil_training(small, reddish):
    def build(data, *, seed=3, classes=None, **settings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            network = MiniNetwork(2, True, small)
            for _ in range(20):  # until its norms know their means and deviations
                network(torch.rand(16, 3, 32, 32) * torch.rand(16, 3, 1, 1))
            network = fold(network).requires_grad_(False)
            network.logit_scale = 4.0
            generator = fold(MiniGenerator(True, small)).requires_grad_(False)
            red = torch.randn(small.code)
            red = (red - red.mean()) / 3
            generator.low.weight.view(3, 64, small.code)[:] = torch.stack([red, 0 * red, -red])[:, None]  # or blue
            generator.low.bias.zero_()
            bank = torch.rand(5, small.code)
        statistics = CodeStatistics(bank.mean(0), bank.std(0), bank)
        few = DistilSettings(**{"batch": 4, "shift": 2, "longest": 6, "warmup": 2} | settings)
        return DistilTraining(network, generator, statistics, reddish, data, None, few, seed, "cpu", classes)

    return build


@pytest.fixture(scope="session")
def reddish() -> Network:
    """Knows "blues" and "reds" of any images: logits, fc8 / 2, are ten times mean blue less red, and the reverse."""
    module = nn.Sequential(OrderedDict(map=nn.Conv2d(3, 2, 1), pool=nn.AdaptiveAvgPool2d(1), fc8=nn.Flatten()))
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[-20.0, 0, 20], [20, 0, -20]])[:, :, None, None])
        module[0].bias.zero_()
    layers, labels = {"map": "map", "fc8": "fc8"}, {"fc8": ("blues", "reds")}
    return Network("reddish", module, layers, (3, 8, 8), labels, logit_scales={"fc8": 2.0})


@pytest.fixture(params=["network_training", "generator_training", "distil_training"])
def any_build(request):
    """Each of the three."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["network_training", "generator_training"])
def build(request):
    """Each of the two that start from nothing."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def equal():
    """Whether two are, bit for bit, through dicts, lists and tensors."""

    def same(a, b) -> bool:
        if isinstance(a, torch.Tensor):
            return torch.equal(a, b)
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b

    return same
