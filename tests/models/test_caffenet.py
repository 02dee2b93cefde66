"""CaffeNet and Places205's network at full size, with random weights, against OpenCV's reading of Caffe's own files.

The error is max|ours - OpenCV's| / max|OpenCV's|, per layer.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from torch import Tensor

from invset.errors import ConfigError, WeightsError
from invset.models.caffenet import CaffeNet, caffenet_network, places205_network
from invset.models.labels import class_folders, class_names
from invset.models.layers import read_layers
from invset.models.network import Network
from invset.weights.matconvnet import SimpleNN
from tests.models.caffe_nets import Blobs, caffenet
from tests.weights.caffe_files import write_mean, write_net

TOLERANCE = 1e-5
MEAN = np.array([104, 117, 123], np.float32).reshape(3, 1, 1)  # BGR


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("caffenet")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Path]:
    """For large files: gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    return caffenet().weights()


@pytest.fixture(scope="module")
def file(blobs: Blobs, folder: Path) -> Path:
    """V1 with four sides a blob, as the published file."""
    return caffenet().write(folder / "caffenet.caffemodel", blobs, version=1, legacy=True)


@pytest.fixture(scope="module")
def network(file: Path) -> Network:
    return caffenet_network(file)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 227, 227, generator=torch.Generator().manual_seed(0))


def caffes(images: Tensor, mean: np.ndarray = MEAN) -> np.ndarray:
    """Caffe's preprocessing: bytes' scale, blue first, less the mean."""
    return np.ascontiguousarray(images.numpy()[:, ::-1] * 255 - mean)


def read(network: Network, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return network.read(network.layers, images)


def error(ours: Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max() / np.abs(theirs).max())


def require_equal(ours: dict[str, Tensor], theirs: dict[str, np.ndarray]) -> None:
    errors = {layer: error(ours[layer], theirs[layer]) for layer in theirs}
    assert set(ours) == set(theirs)
    assert max(errors.values()) < TOLERANCE, errors
    assert all(10 < values.std() < 100 for values in theirs.values())


def same(one: Network, other: Network) -> bool:
    ours, theirs = one.module.state_dict(), other.module.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_every_layer_is_opencvs(network: Network, file: Path, images: Tensor, folder: Path) -> None:
    require_equal(read(network, images), caffenet().opencv(file, caffes(images), folder))


def test_pools_round_up(network: Network, file: Path, images: Tensor, folder: Path) -> None:
    """Of 227 pixels nothing is left over; of 224 there is: 54 to 27 rather than 26."""
    inputs = np.ascontiguousarray(caffes(images)[:, :, :224, :224])
    expected = caffenet(side=224).opencv(file, inputs, folder)
    assert expected["pool1"].shape[-1] == 27
    with torch.no_grad():
        require_equal(read_layers(network.module, expected, torch.from_numpy(inputs)), expected)


def test_places205_is_caffenet_with_its_own_classes(network: Network, file: Path, at: Path) -> None:
    with pytest.raises(ConfigError, match="has 1000 units but 205 labels"):
        places205_network(file)
    state = network.module.state_dict()
    save_file({name: value[:205] if "fc8" in name else value for name, value in state.items()}, at / "p.safetensors")
    places, as_caffenet = (build(at / "p.safetensors") for build in (places205_network, caffenet_network))
    assert same(places, as_caffenet)
    assert (as_caffenet.units("fc8"), as_caffenet.labels) == (205, {})
    assert places.files == (at / "p.safetensors",)
    names = places.labels["fc8"]
    assert (len(names), places.units("fc8"), len(set(names))) == (205, 205, 205)
    # Evolving-AI-Lab/synthesizing:4_activate_output_placesCNN.sh, counted from 0
    assert (names[87], names[140], names[198]) == ("gas station", "phone booth", "waiting room")


def test_shapes_and_size_are_the_published_ones(network: Network) -> None:
    assert dict(network.shapes) == {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "norm1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "norm2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    numbers = sum(parameter.numel() for parameter in network.module.parameters())
    assert 0 < 243_862_418 - 4 * numbers < 5000  # the caffemodel holds them and the layers' names
    assert network.labels["fc8"][980] == "volcano"


def matconvnet(
    path: Path,
    blobs: Blobs,
    average: np.ndarray,
    old: bool,
    after_conv1: tuple[str, ...] = ("pool", "lrn"),
) -> Path:
    """As vlfeat/matconvnet:utils/import-caffe.py writes it, or did: H x W x in x out, red first, units in a row."""
    layers = []
    for name, (weight, bias) in blobs.items():
        if name == "conv1":
            weight = weight[:, ::-1]
        elif weight.ndim == 2:
            side = 6 if name == "fc6" else 1
            weight = weight.reshape(len(weight), -1, side, side)
        filters = np.asfortranarray(weight.transpose(2, 3, 1, 0))
        layer = {"name": name, "type": "conv", "pad": np.zeros((1, 4)), "stride": np.ones((1, 2))}
        if old:
            layer |= {"filters": filters, "biases": bias.reshape(1, -1)}
        else:
            cell = np.empty((1, 2), dtype=object)
            cell[0, 0], cell[0, 1] = filters, bias.reshape(-1, 1)
            layer["weights"] = cell
        layers += [layer, {"name": f"relu_{name}", "type": "relu"}]
        if name == "conv1":
            described = {"lrn": {"param": np.array([[5, 1, 1e-4 / 5, 0.75]])}, "pool": {"pool": np.array([[3.0, 3.0]])}}
            types = {"lrn": "normalize" if old else "lrn", "pool": "pool"}
            layers += [{"name": f"{type_}1", "type": types[type_], **described[type_]} for type_ in after_conv1]
    normalization = {"imageSize": np.array([[227.0, 227, 3]]), "averageImage": average}
    meta = {"normalization": normalization} if old else {"meta": {"normalization": normalization}}
    cells = np.empty((1, len(layers)), dtype=object)
    cells[0, :] = layers
    scipy.io.savemat(path, {"layers": cells, **meta})
    return path


def average_image() -> np.ndarray:
    """An RGB mean, 227 x 227 x 3."""
    smooth = cv2.resize(np.random.default_rng(0).uniform(80, 150, (5, 5, 3)).astype(np.float32), (227, 227))
    return np.ascontiguousarray(smooth, dtype=np.float32)


def test_matconvnets_file_is_the_same_network_and_brings_its_average_image(
    network: Network, blobs: Blobs, images: Tensor, at: Path
) -> None:
    average = average_image()
    mat = caffenet_network(matconvnet(at / "imagenet-caffe-ref.mat", blobs, average, old=False))
    assert same(mat, network)
    blue_first = average.transpose(2, 0, 1)[::-1]
    assert np.abs(mat.colours.encode(images).numpy() - caffes(images, blue_first)).max() < 1e-4
    given = caffenet_network(at / "imagenet-caffe-ref.mat", mean=[104, 117, 123])
    assert torch.equal(given.colours.encode(images), network.colours.encode(images))


def test_matconvnets_own_class_names(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ImageNet's are known here, by names of one class each; a file of the user's goes before."""
    path, imagenet = tmp_path / "net.mat", class_names()
    scipy.io.savemat(path, {"layers": np.empty((0, 0), dtype=object)})
    layers = {name: tuple(map(torch.from_numpy, arrays)) for name, arrays in blobs.items()}
    names = [f"kind {number}, of a class" for number in range(1000)]

    def labels(folders: Sequence[str], file: Path | None = None) -> tuple[str, ...]:
        net = SimpleNN(layers, None, ["conv", "pool", "lrn"], tuple(zip(folders, names, strict=False)))
        monkeypatch.setattr("invset.models.caffenet.read_matconvnet", lambda path: net)
        return caffenet_network(path, file).labels["fc8"]

    assert labels(names) == tuple(names)
    assert labels(class_folders()) == imagenet
    assert labels(names[:3]) == imagenet, "not as many as units"
    (tmp_path / "labels.txt").write_text("\n".join(f"mine {number}" for number in range(1000)))
    assert labels(names, tmp_path / "labels.txt")[3] == "mine 3"


def test_a_mean_file_is_taken_from_its_middle(images: Tensor, tmp_path: Path) -> None:
    mean = np.random.default_rng(0).uniform(80, 150, (3, 256, 256)).astype(np.float32)
    path = write_mean(tmp_path / "mean.binaryproto", mean, legacy=True)
    network = caffenet_network("random", mean=path)
    encoded = network.colours.encode(images).numpy()
    assert np.abs(encoded - caffes(images, mean[:, 14:241, 14:241])).max() < 1e-4
    assert network.files == (path,)


@pytest.mark.parametrize("mean", [[1, 2], ["blue", "green", "red"]])
def test_a_mean_is_three_numbers(mean: object) -> None:
    with pytest.raises(ConfigError, match="mean"):
        caffenet_network("random", mean=mean)  # type: ignore[arg-type]


def small_file(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


CONV1 = {"conv1.weight": (96, 3, 11, 11), "conv1.bias": (96,)}


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({"defc7.weight": (2, 3), "deconv0.weight": (32, 3, 4, 4)}, r"layer conv1: weight should be .*, is absent"),
        (  # torchvision's AlexNet
            {"features.0.weight": (64, 3, 11, 11), "features.0.bias": (64,), "classifier.1.weight": (5, 9216)},
            r"layer conv1: weight should be \(96, 3, 11, 11\), is absent",
        ),
        ({**CONV1, "conv3.weight": (1, 2)}, r"layer conv2: weight should be \(256, 48, 5, 5\), is absent"),
        ({**CONV1, "conv1.bias": (95,)}, r"layer conv1: bias should be \(96,\), is \(95,\)"),
    ],
)
def test_other_weights_are_one_error(tmp_path: Path, shapes: dict[str, tuple[int, ...]], says: str) -> None:
    path = small_file(tmp_path / "net.safetensors", shapes)
    for build in (caffenet_network, places205_network):
        with pytest.raises(WeightsError, match=rf"net\.safetensors: {says}\. These are not the weights of a CaffeNet"):
            build(path)


def test_alexnets_order_is_refused(blobs: Blobs, tmp_path: Path) -> None:
    """bvlc_alexnet has tensors of the same names and shapes, and normalises before it pools."""
    conv1 = ("Convolution", [blobs["conv1"][0]])
    orders = {"alexnet": ("norm1", "pool1"), "caffenet": ("pool1", "norm1")}
    types = {"norm1": ("LRN", []), "pool1": ("Pooling", [])}
    for name, order in orders.items():
        layers = {"conv1": conv1, **{layer: types[layer] for layer in order}}
        path = write_net(tmp_path / name, layers, version=1)
        says = "normalises before it pools" if name == "alexnet" else r"layer conv1: bias should be \(96,\), is absent"
        with pytest.raises(WeightsError, match=says):
            caffenet_network(path)


def test_alexnets_order_is_refused_of_a_mat(blobs: Blobs, tmp_path: Path) -> None:
    """As in imagenet-caffe-alex.mat."""
    conv1 = {"conv1": blobs["conv1"]}
    write = partial(matconvnet, tmp_path / "net.mat", conv1, np.ones((1, 1, 3)), True)
    says = r"net.mat: normalises before it pools, as AlexNet does and CaffeNet does not\. These are not the weights of"
    with pytest.raises(WeightsError, match=says):
        caffenet_network(write(("lrn", "pool")))
    with pytest.raises(WeightsError, match=r"layer conv2: weight should be .*, is absent"):
        caffenet_network(write())


def placed(network: Network, dtype: torch.dtype | None, channels_last: bool | None) -> Network:
    other = copy.copy(network)
    object.__setattr__(other, "module", copy.deepcopy(network.module))
    other.to(torch.device("cpu"), dtype, channels_last)
    return other


def test_half_precision_is_near(network: Network, images: Tensor) -> None:
    half, whole = read(placed(network, torch.bfloat16, None), images), read(network, images)
    assert all(half[layer].isfinite().all() and half[layer].dtype == torch.float32 for layer in half)
    errors = {layer: error(half[layer], whole[layer].numpy()) for layer in whole}
    assert 1e-4 < max(errors.values()) < 0.05, errors


def test_channels_last_is_the_same_to_rounding(network: Network, images: Tensor) -> None:
    other, whole = read(placed(network, None, True), images), read(network, images)
    errors = {layer: error(other[layer], whole[layer].numpy()) for layer in whole}
    assert max(errors.values()) < TOLERANCE, errors


def test_normalisation_of_loud_maps_in_half_precision_does_not_overflow() -> None:
    """Squares above 256 are beyond float16."""
    norm: Callable[[Tensor], Tensor] = CaffeNet(1).norm1
    loud = torch.rand(1, 96, 2, 2, generator=torch.Generator().manual_seed(0)) * 3000
    assert error(norm(loud.half()).float(), norm(loud).numpy()) < 1e-3
