"""The losses of the generator's training, and of its discriminator."""

import torch
import torch.nn.functional as F
from torch import Tensor

from invset.training.discriminator import Scores
from invset.training.evaluate import relative_error

FEATURES = ("conv2", "conv3", "conv4", "conv5")  # not conv1: a loss there leaves a dotted grid
Features = dict[str, Tensor]


def discriminator_loss(real: list[Scores], fake: list[Scores]) -> Tensor:
    """Hinge losses of realism alone, and with label and code; the first of the fake have the real ones' codes."""
    hinges = []
    for r, f in zip(real, fake, strict=True):
        hinges += [F.relu(1 - r.alone), F.relu(1 - r.alone - r.code - r.label)]
        hinges += [F.relu(1 + f.alone), F.relu(1 + _judged(f, len(r.code)))]
    return torch.stack([hinge.mean() for hinge in hinges]).sum() / len(real)


def adversarial_loss(fake: list[Scores], real: int) -> Tensor:
    """Of images of which the first `real` have real codes."""
    return -torch.stack([_judged(scores, real).mean() for scores in fake]).mean()


def difference(made: Features, real: Features) -> Tensor:
    """Mean over maps of the relative error, of images and of the first of those made, which are of their codes."""
    return torch.stack([relative_error(made[name][: len(real[name])], real[name]) for name in real]).mean()


def code_losses(made_codes: Tensor, codes: Tensor, real: int) -> dict[str, Tensor]:
    """Between codes and those of the images made of them: of the first `real`, which are real, and of the others."""
    losses = {"code": relative_error(made_codes[:real], codes[:real])}
    if len(codes) > real:
        losses["mixed_code"] = relative_error(made_codes[real:], codes[real:])
    return losses


def _judged(fake: Scores, real: int) -> Tensor:
    """With label and, where an image has had that code, with code."""
    has_image = torch.arange(len(fake.code), device=fake.code.device) < real
    return fake.alone + fake.label + fake.code * has_image[:, None]
