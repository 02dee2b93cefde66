"""Trained weights -> the folded, half-precision files that `invset.models.mini` loads."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from invset.models.mini import LOGIT_SCALE, MiniGenerator, MiniNetwork, class_folders, fold
from invset.training.data import ImageSet
from invset.training.evaluate import encode

Tensors = dict[str, Tensor]


def write(tensors: Tensors, path: Path) -> None:
    """Save in half precision, under a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(save({name: value.detach().half().contiguous().cpu() for name, value in tensors.items()}))
    temporary.replace(path)


def exported_network(network: MiniNetwork) -> MiniNetwork:
    """Folded, with fc8's weight and bias at four times the trained logits."""
    network = fold(network)
    with torch.no_grad():
        network.fc8.weight.mul_(LOGIT_SCALE)
        network.fc8.bias.mul_(LOGIT_SCALE)
    return network


def code_tensors(network: MiniNetwork, data: ImageSet, bank: int, rng: torch.Generator) -> Tensors:
    """Mean and deviation of all images' codes, and `bank` of the codes, spread evenly over the classes."""
    codes = encode(network, data.images)
    shuffled = torch.randperm(len(codes), generator=rng)
    by_class = shuffled[data.labels[shuffled].argsort(stable=True)]
    picked = by_class[torch.linspace(0, len(codes) - 1, min(bank, len(codes))).long()]
    return {"codes.mean": codes.mean(0), "codes.deviation": codes.std(0), "codes.bank": codes[picked]}


def export_network(network: MiniNetwork, units: Sequence[str], out: Path) -> None:
    """Write network.safetensors, and classes.txt with the names of its units if they are not ImageNet's."""
    write(exported_network(network).state_dict(), out / "network.safetensors")
    if tuple(units) != class_folders():
        (out / "classes.txt").write_text("".join(f"{name}\n" for name in units), encoding="utf-8")


def export_generator(
    generator: MiniGenerator, network: MiniNetwork, data: ImageSet, out: Path, bank: int, seed: int
) -> None:
    """Write generator.safetensors, with the statistics of the codes that `network` gives the images."""
    codes = code_tensors(network, data, bank, torch.Generator().manual_seed(seed))
    write(fold(generator).state_dict() | codes, out / "generator.safetensors")
