"""A folder of images as one tensor in memory, and batches of it."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from invset.compat import import_torchvision
from invset.errors import ConfigError
from invset.models.mini import SIZE, class_folders, class_names


class ImageSet(NamedTuple):
    """Images and what they show.

    images: (n, 3, 64, 64) uint8, RGB. labels: (n,), rows of fc8. names: n or none, "<class folder>/<file>".
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
            near = ", ".join(get_close_matches(name, folder_of)) or "the folders' names"
            raise ConfigError(f"classes: the network has no unit called {name}. Try {near}.")
    return [folder_of[name] for name in names]


def load_images(
    folder: str | Path,
    units: Sequence[str],
    classes: Sequence[str] | None = None,
    crops: int = 0,
    seed: int = 0,
) -> ImageSet:
    """Read an ImageFolder (`<class folder>/<file>`), the given classes of it or all.

    Each image is resized to 64 on its shorter side and cut in the middle; with `crops`, that many random
    crops of 30 to 100% of its area are read instead.

    Raises:
        ConfigError: no folder, or a class that the folder or `units` does not have.
    """
    folder = _existing(folder)
    import_torchvision()
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    middle = transforms.Compose([transforms.Resize(SIZE), transforms.CenterCrop(SIZE)])
    random = transforms.RandomResizedCrop(SIZE, scale=(0.3, 1.0))
    files = ImageFolder(str(folder))
    wanted = set(files.classes if classes is None else classes)
    if unknown := sorted(wanted - (set(files.classes) & set(units))):
        raise ConfigError(f"{folder}: no class folder, or no unit of the network, for {', '.join(unknown)}.")
    row = {name: index for index, name in enumerate(units)}
    images, labels, names = [], [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torchvision's random crops know only the global generator
        for path, label in files.samples:
            if (name := files.classes[label]) not in wanted:
                continue
            image = files.loader(path)
            for _ in range(max(crops, 1)):
                cut = random(image) if crops else middle(image)
                images.append(transforms.functional.pil_to_tensor(cut))
                labels.append(row[name])
                names.append(f"{name}/{Path(path).name}")
    return ImageSet(torch.stack(images), torch.tensor(labels), tuple(names))


def join(*sets: ImageSet) -> ImageSet:
    """One set of all images."""
    images, labels, names = zip(*sets, strict=True)
    return ImageSet(torch.cat(images), torch.cat(labels), sum(names, ()))


def scaled(images: Tensor) -> Tensor:
    """uint8 -> float32 in [0, 1]."""
    return images.float() / 255


def augmented(images: Tensor, shift: int, rng: torch.Generator) -> Tensor:
    """Each image flipped at random and moved by up to `shift` pixels a way, its edges mirrored."""
    n, _, height, width = images.shape
    offset = torch.randint(0, 2 * shift + 1, (2, n, 1), generator=rng)
    flip = torch.rand(n, 1, generator=rng) < 0.5
    rows = offset[0] + torch.arange(height)
    columns = offset[1] + torch.where(flip, torch.arange(width).flip(0), torch.arange(width))
    padded = F.pad(images.float(), (shift,) * 4, mode="reflect").to(images.dtype)
    return padded.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def random_rows(n: int, batch: int, rng: torch.Generator) -> Tensor:
    """`batch` of n row numbers, with replacement: between batches only `rng` has a state to remember."""
    return torch.randint(n, (batch,), generator=rng)


def same_class_rows(labels: Tensor, rows: Tensor, rng: torch.Generator) -> Tensor:
    """For each row, a random row with the same label."""
    order = labels.argsort(stable=True)
    first = torch.searchsorted(labels[order], labels[rows])
    last = torch.searchsorted(labels[order], labels[rows], right=True)
    pick = first + (torch.rand(len(rows), generator=rng) * (last - first)).long()
    return order[pick]


def _existing(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such folder of images. Give one with a sub-folder for each class.")
    return folder
