"""Images in and out: what is read, cut, mirrored and drawn."""

import pytest
import torch
import torch.nn.functional as F

from invset.errors import ConfigError
from invset.models.labels import class_folders
from invset.models.mini import Dimensions, MiniNetwork
from training.data import (
    ImageSet,
    augment,
    draw_classmates,
    join,
    load_images,
    named_folders,
    read_batch,
    require_size,
    unit_folders,
)


def test_augmented_without_shift_is_the_image_or_its_mirror():
    images = torch.randint(0, 255, (20, 3, 64, 64), dtype=torch.uint8)
    result = augment(images, 0, torch.Generator().manual_seed(0))
    same = [torch.equal(a, b) for a, b in zip(images, result, strict=True)]
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(images, result, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 0 < sum(same) < 20
    moved = augment(images, 3, torch.Generator().manual_seed(0))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8


def test_classmates():
    labels = torch.tensor([3, 1, 3, 2, 1, 3])
    rows = torch.arange(6).repeat(50)
    other = draw_classmates(labels, labels.sort(stable=True), rows, torch.Generator().manual_seed(0))
    assert torch.equal(labels[other], labels[rows])
    assert set(other[rows == 0].tolist()) == {0, 2, 5}


def test_folders_and_classes(folder, images, tmp_path):
    assert unit_folders(folder) == ("blues", "reds")
    assert images.images.shape == (12, 3, 32, 32)
    assert images.labels.bincount().tolist() == [6, 6]
    assert images.names[0] == "blues/0.png"
    crops = load_images(folder, ("blues", "reds"), ["reds"], crops=2, size=32)
    assert crops.labels.tolist() == [1] * 12
    assert len(join(images, crops).names) == 24

    (tmp_path / "n01443537").mkdir()
    assert unit_folders(tmp_path) == class_folders()
    assert named_folders(["goldfish", "n01440764"], class_folders()) == ["n01443537", "n01440764"]
    with pytest.raises(ConfigError, match=r"no unit called gold fihs: did you mean goldfish"):
        named_folders(["gold fihs"], class_folders())
    with pytest.raises(ConfigError, match="no class folder, or no unit of the network, for greens"):
        load_images(folder, ("blues", "reds"), ["greens"])
    with pytest.raises(ConfigError, match="absent: there is no such folder"):
        load_images(folder / "absent", ("blues", "reds"))


def test_augmented_on_known_images():
    """Against a slow one: pad by mirroring, cut at the offset drawn, then flip."""
    images = torch.arange(3 * 2 * 4 * 5, dtype=torch.uint8).view(3, 2, 4, 5)
    shift, drawn = 2, torch.Generator().manual_seed(5)
    offset = torch.randint(0, 2 * shift + 1, (2, 3, 1), generator=drawn)[:, :, 0].tolist()
    flip = (torch.rand(3, 1, generator=drawn) < 0.5)[:, 0].tolist()
    padded = F.pad(images.float(), (shift,) * 4, mode="reflect").byte()
    result = augment(images, shift, torch.Generator().manual_seed(5))
    for i in range(3):
        cut = padded[i, :, offset[0][i] : offset[0][i] + 4, offset[1][i] : offset[1][i] + 5]
        assert torch.equal(result[i], cut.flip(2) if flip[i] else cut)
    assert len(set(flip)) == 2
    assert images.is_contiguous()


def test_a_batch_is_in_channels_last():
    data = ImageSet(torch.randint(0, 255, (6, 3, 8, 8), dtype=torch.uint8), torch.arange(6))
    images, labels = read_batch(data, torch.tensor([4, 1]), 0, torch.Generator().manual_seed(0), "cpu")
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.tolist() == [4, 1]
    for image, row in zip(images, (4, 1), strict=True):
        pixels = data.images[row] / 255
        assert torch.equal(image, pixels) or torch.equal(image, pixels.flip(2))


def test_crops_are_random_and_the_same_again(folder):
    crops = load_images(folder, ("blues", "reds"), ["blues"], crops=2, seed=1, size=256)
    assert crops.images.shape == (12, 3, 256, 256)
    assert not torch.equal(crops.images[0], crops.images[1])
    again = load_images(folder, ("blues", "reds"), ["blues"], crops=2, seed=1, size=256)
    assert torch.equal(crops.images, again.images)


def test_images_that_are_none(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="Give each class some"):
        load_images(tmp_path, ("a",))
    (tmp_path / "a" / "1.png").write_bytes(b"nothing to see")
    with pytest.raises(ConfigError, match=r"1\.png: cannot be read as an image"):
        load_images(tmp_path, ("a",))


def test_images_of_another_size_than_the_networks():
    with pytest.raises(ConfigError, match=r"size is 64, and the network's is 32: take size=32"):
        require_size(64, MiniNetwork(2, dimensions=Dimensions(32)))
