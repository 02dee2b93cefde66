"""A folder of images of two classes, and small models: seconds of training on one core."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from invset.models.mini import Dimensions, MiniNetwork, fold
from invset.training.data import ImageSet, load_images, unit_folders
from invset.training.generator import GeneratorSettings, GeneratorTraining
from invset.training.network import NetworkSettings, NetworkTraining


@pytest.fixture(autouse=True)
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
    def build(data, *, compile=False, seed=3, **settings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            network = fold(MiniNetwork(2, True, small))
        small_settings = GeneratorSettings(**{"batch": 4, "mixed": 2, "warmup": 1, "shift": 2} | settings)
        return GeneratorTraining(network, data, small_settings, seed, "cpu", small.width, compile)

    return build


@pytest.fixture(params=["network_training", "generator_training"])
def build(request):
    """Each of the two."""
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
