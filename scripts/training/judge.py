"""Does another network see the class? Inverse-set samples of many classes, shown to judges that do not guide them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from invset.core.ascent import ascend
from invset.core.method import ACTIVE
from invset.core.paper import Paper
from invset.core.problem import Pipeline, Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.models.network import Generator, Network
from invset.models.reader import Encoder, Reader
from invset.models.starts import Starts
from invset.models.unit import Unit
from invset.passes.plain import Plain

REFERENCES = 64  # unrelated codes on which distances are measured


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
    network: Network, generator: Generator, rows: Sequence[int], settings: JudgeSettings, seed: int
) -> Iterator[Samples]:
    """Inverse-set samples of units of fc8 (rows from 0), by the paper's method at a range fitted to each.

    Raises:
        ConfigError: there is no fc8, or no fc6 to encode with.
    """
    encoder = Encoder(network, "fc6")
    starts = Starts("normal", seed, settings.chains, generator, encoder)
    references = starts.reference_codes(REFERENCES).to(network.device)
    distance = torch.pdist(references).mean().item()

    def draw(chain: int, attempt: int) -> Tensor:
        return starts.draw(chain, attempt).to(network.device)

    for row in rows:
        passes = Plain(Pipeline(generator, Reader(network, [Unit("fc8", row)], encoder)))
        problem = Problem(passes, generator.code_bounds)
        first = problem.bound(torch.stack([draw(chain, 0) for chain in range(settings.chains)]))
        top = ascend(problem, first, 0, distance, settings.steps).activations.median().item()
        low, high = settings.low * top, settings.high * top
        images = torch.empty(0, *generator.image_shape)
        if low < high:  # a unit that ascent does not bring above 0 has no such range
            region = Region.two_sided([(low, high)]).to(network.device)
            method = Paper(problem, region, Schedule(chains=settings.chains), draw, references)
            state = method.begin()
            while len(images) < settings.samples and state.phase in ACTIVE:
                state, step = method.step(state)
                images = torch.cat([images, step.evaluation.images[step.samples].cpu()])
        yield Samples(row, low, high, (255 * images[: settings.samples]).round().to(torch.uint8))


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
    right = logits.topk(min(5, logits.shape[1]), 1).indices == row
    return right[:, 0].float().mean().item(), right.any(1).float().mean().item()


def mean_shares(verdicts: Collection[Verdict], judge: str) -> tuple[float, float]:
    """top1 and top5 of a judge, every unit counting as much."""
    top1, top5 = zip(*(each.seen[judge] for each in verdicts), strict=True)
    return sum(top1) / len(top1), sum(top5) / len(top5)
