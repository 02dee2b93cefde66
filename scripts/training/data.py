"""A folder of images as one tensor in memory, and batches of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from invset.errors import ConfigError
from invset.models.labels import class_folders, class_names
from invset.models.mini import SHIPPED, MiniNetwork
from invset.names import hint
from training.compute import send


class ImageSet(NamedTuple):
    """Images and what they show.

    images: (n, 3, size, size) uint8, RGB, on any device. labels: (n,), rows of fc8, on the CPU. names: n or none,
    "<class folder>/<file>".
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...] = ()


def unit_folders(folder: str | Path) -> tuple[str, ...]:
    """The class folder of each row of fc8: ImageNet's 1000 if the folder's are among them, else its own.

    Raises:
        ConfigError: there is no such folder.
    """
    own = tuple(sorted(entry.name for entry in _existing(folder).iterdir() if entry.is_dir()))
    return class_folders() if set(own) <= set(class_folders()) else own


def named_folders(names: Sequence[str], units: Sequence[str]) -> list[str]:
    """Class folders of the given classes; ImageNet's may be given by name ("goldfish").

    Raises:
        ConfigError: no unit of that name.
    """
    folder_of = {unit: unit for unit in units}
    if tuple(units) == class_folders():
        folder_of |= zip(class_names(), units, strict=True)
    for name in names:
        if name not in folder_of:
            raise ConfigError(f"classes: the network has no unit called {name}: {hint(name, folder_of)}")
    return [folder_of[name] for name in names]


def load_images(
    folder: str | Path,
    units: Sequence[str],
    classes: Sequence[str] | None = None,
    crops: int = 0,
    seed: int = 0,
    size: int = SHIPPED.size,
) -> ImageSet:
    """Read an ImageFolder (`<class folder>/<file>`), the given classes of it or all.

    Each image is resized to `size` on its shorter side and cut in the middle; with `crops`, that many random
    crops of 30 to 100% of its area are read instead.

    Raises:
        ConfigError: no folder, or a class that the folder or `units` does not have.
    """
    folder = _existing(folder)
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    middle = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size)])
    random = transforms.RandomResizedCrop(size, scale=(0.3, 1.0))
    try:
        files = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder}: {str(error).splitlines()[0]}. Give each class some, or remove its folder."
        ) from error
    wanted = set(files.classes if classes is None else classes)
    if unknown := sorted(wanted - (set(files.classes) & set(units))):
        raise ConfigError(f"{folder}: no class folder, or no unit of the network, for {', '.join(unknown)}.")
    row = {name: index for index, name in enumerate(units)}
    samples = [(path, files.classes[label]) for path, label in files.samples if files.classes[label] in wanted]
    samples = [sample for sample in samples for _ in range(max(crops, 1))]
    images = torch.empty(len(samples), 3, size, size, dtype=torch.uint8)  # at once: they may fill half the memory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torchvision's random crops know only the global generator
        last = ""
        for number, (path, _) in enumerate(samples):
            if path != last:
                try:
                    image, last = files.loader(path), path
                except OSError as error:
                    raise ConfigError(f"{path}: cannot be read as an image ({error}). Replace or remove it.") from error
            images[number] = transforms.functional.pil_to_tensor(random(image) if crops else middle(image))
    names = tuple(f"{name}/{Path(path).name}" for path, name in samples)
    return ImageSet(images, torch.tensor([row[name] for _, name in samples]), names)


def require_size(size: int, network: MiniNetwork) -> None:
    """Raises ConfigError where images of that size, in pixels a side, are not what the network takes."""
    if size != (needed := network.dimensions.size):
        raise ConfigError(f"size is {size}, and the network's is {needed}: take size={needed}, or another network.")


def join(*sets: ImageSet) -> ImageSet:
    """One set of all images."""
    images, labels, names = zip(*sets, strict=True)
    return ImageSet(torch.cat(images), torch.cat(labels), sum(names, ()))


def to_float(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.float() / 255


def augment(images: Tensor, shift: int, rng: torch.Generator) -> Tensor:
    """Each image flipped at random and moved by up to `shift` pixels a way, its edges mirrored.

    Drawn on the CPU by `rng`, done where the images are; in channels_last.
    """
    n, _, height, width = images.shape
    offset = torch.randint(-shift, shift + 1, (2, n, 1), generator=rng)
    flip = torch.rand(n, 1, generator=rng) < 0.5
    rows = _mirrored(offset[0] + torch.arange(height), height)
    columns = _mirrored(offset[1] + torch.where(flip, torch.arange(width).flip(0), torch.arange(width)), width)
    number, rows, columns = (send(x, images.device) for x in (torch.arange(n), rows, columns))
    moved = images.permute(0, 2, 3, 1)[number[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _mirrored(index: Tensor, length: int) -> Tensor:
    return length - 1 - (length - 1 - index.abs()).abs()


def read_batch(data: ImageSet, rows: Tensor, shift: int, rng: torch.Generator, device: str) -> tuple[Tensor, Tensor]:
    """Images (b, 3, size, size) in [0, 1], `augment`, in channels_last, and labels (b,) of the rows, on `device`."""
    images = augment(data.images[send(rows, data.images.device)], shift, rng)
    return to_float(send(images, device)), send(data.labels[rows], device)


def draw_rows(n: int, batch: int, rng: torch.Generator) -> Tensor:
    """`batch` of n row numbers, with replacement: between batches only `rng` has a state to remember."""
    return torch.randint(n, (batch,), generator=rng)


def draw_classmates(labels: Tensor, by_class: tuple[Tensor, Tensor], rows: Tensor, rng: torch.Generator) -> Tensor:
    """For each row, a random row with the same label.

    by_class: `labels.sort(stable=True)`, once for all steps, since it takes longer than a draw.
    """
    values, order = by_class
    first = torch.searchsorted(values, labels[rows])
    last = torch.searchsorted(values, labels[rows], right=True)
    pick = first + (torch.rand(len(rows), generator=rng) * (last - first)).long()
    return order[pick]


def _existing(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder of images. Give one with a sub-folder for each class.")
    return folder
