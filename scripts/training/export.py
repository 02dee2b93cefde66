"""Trained weights -> the folded, half-precision files that `invset.models.mini` loads."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from invset.files import write_atomically
from invset.models.labels import class_folders
from invset.models.mini import LOGIT_SCALE, MiniGenerator, MiniNetwork
from training.checkpoint import initialise, trained_dimensions
from training.data import ImageSet
from training.evaluate import encode
from training.folding import fold


def trained_network(checkpoint: str, classes: int) -> MiniNetwork:
    """From a checkpoint.pt of stage=network.

    Raises:
        WeightsError: the file is missing, damaged or of another stage or number of classes.
    """
    network = MiniNetwork(classes, norm=True, dimensions=trained_dimensions(checkpoint))
    initialise(network, checkpoint, "network")
    return network


def trained_generator(checkpoint: str) -> MiniGenerator:
    """The average of the steps, from a checkpoint.pt of stage=generator.

    Raises:
        WeightsError: the file is missing, damaged or of another stage.
    """
    generator = MiniGenerator(norm=True, dimensions=trained_dimensions(checkpoint))
    initialise(generator, checkpoint, "average")
    return generator


@torch.no_grad()
def export_network(network: MiniNetwork, units: Sequence[str], out: Path) -> None:
    """Write network.safetensors, and classes.txt with the names of its units if they are not ImageNet's.

    fc8 is written at four times the trained logits.
    """
    folded = fold(network)
    folded.fc8.weight.mul_(LOGIT_SCALE)
    folded.fc8.bias.mul_(LOGIT_SCALE)
    write_weights(folded.state_dict(), network.dimensions.size, out / "network.safetensors")
    if tuple(units) != class_folders():
        (out / "classes.txt").write_text("".join(f"{name}\n" for name in units), encoding="utf-8")


def export_generator(
    generator: MiniGenerator, network: MiniNetwork, data: ImageSet, out: Path, bank: int, seed: int
) -> None:
    """Write generator.safetensors, with the mean and deviation of the codes that `network` gives the images.

    bank: how many of the codes go with them, spread evenly over the classes, in 8 bits.
    """
    codes = encode(network, data.images)
    shuffled = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[data.labels[shuffled].argsort(stable=True)]
    kept = by_class[torch.linspace(0, len(codes) - 1, min(bank, len(codes))).long()]
    scale = codes.amax(0).half().float().clamp_min(1e-6) / 255  # as `codes.highest` is saved
    in_eight_bits = (codes[kept] / scale).round().clamp(0, 255).byte()  # most of them zeros
    statistics = {"codes.mean": codes.mean(0), "codes.deviation": codes.std(0)}
    statistics |= {"codes.bank": in_eight_bits, "codes.highest": codes.amax(0)}
    write_weights(fold(generator).state_dict() | statistics, generator.dimensions.size, out / "generator.safetensors")


def write_weights(tensors: dict[str, Tensor], size: int, path: Path) -> None:
    """Save in half precision, bytes as they are, with the size of the images in pixels a side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {
        name: (value if value.dtype == torch.uint8 else value.detach().half()).contiguous().cpu()
        for name, value in tensors.items()
    }
    write_atomically(path, save(halves, {"size": str(size)}))
