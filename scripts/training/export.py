"""Trained weights -> the folded, half-precision files that `invset.models.mini` loads."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from invset.files import write_atomically
from invset.models.labels import class_folders
from invset.models.mini import MiniGenerator, MiniNetwork
from training.checkpoint import initialise, trained_dimensions
from training.data import ImageSet
from training.evaluate import encode
from training.folding import fold

LOGIT_SCALE = 6.5  # fc8 as exported / the trained logits: brings units into the ranges of the paper
SMALL_BANK = 1000  # natural codes that the generator's own file carries


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

    fc8 is written at LOGIT_SCALE times the trained logits.
    """
    folded = fold(network)
    folded.fc8.weight.mul_(LOGIT_SCALE)
    folded.fc8.bias.mul_(LOGIT_SCALE)
    folded.logit_scale = LOGIT_SCALE
    write_network(folded, out / "network.safetensors")
    if tuple(units) != class_folders():
        (out / "classes.txt").write_text("".join(f"{name}\n" for name in units), encoding="utf-8")


def write_network(folded: MiniNetwork, path: Path) -> None:
    """Save a folded network as it is, and how many times the logits its fc8 is."""
    metadata = {"size": str(folded.dimensions.size), "logit_scale": str(folded.logit_scale)}
    write_weights(folded.state_dict(), metadata, path)


def export_generator(
    generator: MiniGenerator, network: MiniNetwork, data: ImageSet, out: Path, bank: int, seed: int
) -> None:
    """Write generator.safetensors, and codes.safetensors with codes that `network` gives the images.

    The first holds the codes' mean and deviation, and a thousand of them; the second `bank` of them; both spread
    evenly over the classes, in 8 bits.
    """
    codes = encode(network, data.images)
    shuffled = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    by_class = codes[shuffled[data.labels[shuffled].argsort(stable=True)]]
    metadata = {"size": str(generator.dimensions.size)}
    statistics = {"codes.mean": codes.mean(0), "codes.deviation": codes.std(0)}
    small = fold(generator).state_dict() | statistics | in_eight_bits(by_class, SMALL_BANK)
    write_weights(small, metadata, out / "generator.safetensors")
    write_weights(in_eight_bits(by_class, bank), metadata, out / "codes.safetensors")


def in_eight_bits(codes: Tensor, count: int) -> dict[str, Tensor]:
    """So many of the codes (m, c), evenly spaced, in 255ths of the highest of each entry; most are zeros."""
    kept = codes[torch.linspace(0, len(codes) - 1, min(count, len(codes))).long()]
    highest = codes.amax(0)
    scale = highest.half().float().clamp_min(1e-6) / 255  # as it is saved
    return {"codes.bank": (kept / scale).round().clamp(0, 255).byte(), "codes.highest": highest}


def write_weights(tensors: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Save in half precision, bytes as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = {
        name: (value if value.dtype == torch.uint8 else value.detach().half()).contiguous().cpu()
        for name, value in tensors.items()
    }
    write_atomically(path, _in_order(save(halves, metadata)))


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata sorted: they are saved in another order every time."""
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    sorted_header = json.dumps(header, separators=(",", ":")).encode().ljust(length)
    return file[:8] + sorted_header + file[8 + length :]
