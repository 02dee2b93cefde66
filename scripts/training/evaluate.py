"""What a network knows of held-out images, and what a generator keeps of them."""

import torch
from torch import Tensor

from invset.models.mini import MiniGenerator, MiniNetwork
from training.data import ImageSet, to_float


@torch.no_grad()
def accuracy(network: MiniNetwork, held_out: ImageSet, batch: int = 256) -> dict[str, float]:
    """Share of images whose label is the largest activation, and is among the five largest."""
    device = network.fc8.weight.device
    logits = torch.cat([network(to_float(part.to(device))).cpu() for part in held_out.images.split(batch)])
    right = logits.topk(min(5, logits.shape[1]), 1).indices == held_out.labels[:, None]
    return {"top1": right[:, 0].float().mean().item(), "top5": right.any(1).float().mean().item()}


@torch.no_grad()
def encode(network: MiniNetwork, images: Tensor, batch: int = 256) -> Tensor:
    """Codes (n, c), fc6 after its ReLU, of images (n, 3, size, size), uint8 or float in [0, 1]."""
    device = network.fc8.weight.device
    codes = []
    for part in images.split(batch):
        part = part.to(device)
        codes.append(network.layers(part if part.is_floating_point() else to_float(part), ("fc6",))["fc6"].cpu())
    return torch.cat(codes)


@torch.no_grad()
def reconstruction(
    generator: MiniGenerator, network: MiniNetwork, held_out: ImageSet, codes: Tensor, batch: int = 128
) -> tuple[dict[str, float], Tensor]:
    """The generator on held-out images and their codes (n, c).

    Returns psnr, the images' mean in dB, and code_error, |E(G(c)) - c|^2 / |c|^2 over all of them; and a grid
    (3, h, w) in [0, 1]: an image of each class above its reconstruction.
    """
    device = generator.low.weight.device
    made = torch.cat([generator(part.to(device)).cpu() for part in codes.split(batch)])
    error = (made - to_float(held_out.images.cpu())).square().mean((1, 2, 3))
    metrics = {
        "psnr": -10 * error.log10().mean().item(),
        "code_error": relative_error(encode(network, made, batch), codes).item(),
    }
    first = [(held_out.labels == label).nonzero()[0, 0] for label in held_out.labels.unique()]
    rows = [row for part in torch.stack(first).split(12) for row in (to_float(held_out.images[part]).cpu(), made[part])]
    return metrics, grid_of(rows)


def relative_error(made: Tensor, real: Tensor) -> Tensor:
    """|made - real|^2 / |real|^2, over the batch."""
    made, real = made.float(), real.float()
    return (made - real).square().sum() / real.square().sum().clamp_min(1e-8)


def grid_of(rows: list[Tensor]) -> Tensor:
    """Rows of images, each (n, 3, h, w), as one image (3, rows * h, n * w); short rows end in black."""
    width = max(row.shape[0] * row.shape[3] for row in rows)
    lines = [torch.cat(list(row), 2) for row in rows]
    return torch.cat([torch.nn.functional.pad(line, (0, width - line.shape[2])) for line in lines], 1)
