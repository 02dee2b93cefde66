"""Does another network see the class? Inverse-set samples of many classes, shown to judges that do not guide them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

import invset
from invset.metrics.share import in_top
from invset.models.network import Network


@dataclass(frozen=True)
class JudgeSettings:
    """What is sampled of each unit.

    samples: of each. low, high: the range, as shares of the median height of `chains` ascents of `steps` steps.
    """

    samples: int = 50
    chains: int = 10
    steps: int = 30
    low: float = 0.9
    high: float = 1.0


class Samples(NamedTuple):
    """Of one unit: its row, the range asked for, and images (n, 3, h, w) uint8; none where it was not reached."""

    row: int
    low: float
    high: float
    images: Tensor


class Verdict(NamedTuple):
    """Of one unit: the range, the number of samples, and for each judge top1 and top5, as shares of them."""

    low: float
    high: float
    samples: int
    seen: dict[str, tuple[float, float]]


def sample_units(
    models: Mapping[str, Any], rows: Sequence[int], settings: JudgeSettings, seed: int
) -> Iterator[Samples]:
    """Inverse-set samples of units of fc8 (rows from 0), by the paper's method at a range fitted to each.

    `models`: settings of `invset.sample`, as network={"kind": "mini", "weights": FILE}.

    Raises:
        ConfigError: there is no fc8, or no fc6 to encode with.
    """
    common = {"starts": "normal", "encoder": "fc6", "seed": seed, **models}
    units = [f"fc8:{row + 1}" for row in rows]
    surveys = invset.probe(units, codes=settings.chains, chains=settings.chains, steps=settings.steps, **common)
    for row, unit, survey in zip(rows, units, surveys, strict=True):
        top = survey.activations["ascents"].median().item()
        low, high = settings.low * top, settings.high * top
        images = torch.empty(0, *survey.images.shape[1:])
        if low < high:  # a unit that ascent does not bring above 0 has no such range
            schedule = {"K": settings.chains}
            found = invset.sample(unit, (low, high), n=settings.samples, method="paper", schedule=schedule, **common)
            images = found.images if len(found) else images
        yield Samples(row, low, high, (255 * images).round().to(torch.uint8))


def judge(samples: Samples, judges: Mapping[str, Network]) -> Verdict:
    """What the judges say of one unit's samples."""
    shares = {name: top_shares(network, samples.images, samples.row) for name, network in judges.items()}
    return Verdict(samples.low, samples.high, len(samples.images), shares)


def top_shares(network: Network, images: Tensor, row: int, batch: int = 64) -> tuple[float, float]:
    """Shares of images (n, 3, h, w) uint8 that a network ranks first, and among its first five, as the class `row`.

    Both are 0 where there are no images.
    """
    if not len(images):
        return 0.0, 0.0
    with torch.no_grad():
        parts = images.to(network.device).split(batch)
        logits = torch.cat([network.read(["fc8"], part.float() / 255)["fc8"] for part in parts])
    top1, top5 = (in_top(logits, row, k).float().mean().item() for k in (1, 5))
    return top1, top5


def mean_shares(verdicts: Collection[Verdict], judge: str) -> tuple[float, float]:
    """top1 and top5 of a judge, every unit counting as much."""
    top1, top5 = zip(*(each.seen[judge] for each in verdicts), strict=True)
    return sum(top1) / len(top1), sum(top5) / len(top5)
