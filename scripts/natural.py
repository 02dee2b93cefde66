r"""Are samples as natural and as varied as photographs whose activation lies in the same range?

    python scripts/natural.py data=FOLDER classes=20 hidden=20 n=500
    python scripts/natural.py data=FOLDER classes=8 hidden=0 n=60 top=true sample.method=paper

FOLDER has a subfolder of photographs for each class, named as a row of fc8 (n01443537). A class unit's range goes from
the median to the 95% quantile of its own photographs, a hidden unit's from the 75% to the 97% quantile of all; with
`top` it is the highest that `invset probe` offers, and samples stand beside all of the class's photographs. Another
network, the judge, looks at samples and at photographs in the range: the share of which it has the class among its
first five, the Vendi score of its features at equal n (Gaussian, half the median distance of the photographs as
bandwidth), and density and coverage (Naeem et al. 2020, k = 5) against one half of the photographs, beside what the
other half of them has. The same of the generator's reconstructions of these photographs, the best that samples made
through it could look like. `passes` are forward passes a sample; `nearest` is the distance to the nearest natural code
that all but 1% of samples keep, over the median distance between such codes. A line a unit, and the means over units
with their 95% intervals.
"""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

import invset
from invset.errors import ConfigError, InvsetError
from invset.metrics.distances import exact_distances
from invset.metrics.estimate import mean_over_groups
from invset.metrics.share import in_top
from invset.metrics.vendi import gaussian_kernel, vendi_score
from invset.models.image_folder import ImageFolder
from invset.models.labels import class_folders, class_names
from invset.models.network import Generator, Network

BATCH = 64
NEIGHBOURS = 5  # of density and coverage
HIDDEN = ("conv3", "conv4", "conv5", "fc6", "fc7")
OF = ("", "_of_reconstructions", "_of_photographs")  # samples have the bare name
COMPARED = ("recognised", "vendi", "density", "coverage")
COLUMNS = (
    "unit", "low", "high", "n", *(f"{name}{of}" for name in COMPARED for of in OF), "passes", "nearest", "seconds",
)  # fmt: skip


@dataclass
class Settings:
    """data: their folder, photographs: at most so many of it. classes, hidden: units. sample: settings of a run.

    top: at the highest range of each class unit; there are no hidden ones then.
    """

    data: str = ""
    photographs: int = 20000
    classes: int = 20
    hidden: int = 20
    top: bool = False
    n: int = 500
    judge: str = "efficientnet_lite2"
    seed: int = 0
    out: str = "outputs/natural.csv"
    sample: dict[str, Any] = field(default_factory=dict)


class Photographs(NamedTuple):
    """Photographs, what the network under study makes of them (m, units), and the row of fc8 that each shows (m,)."""

    images: ImageFolder
    files: list[Path]
    layers: dict[str, Tensor]
    rows: Tensor


def main() -> None:
    """Measure unit by unit, and write a line of each."""
    settings = read_settings(sys.argv[1:])
    network, judge = invset.build_network("mini"), invset.build_network(settings.judge)
    generator = invset.build_generator("mini")
    photographs = look(settings, network)
    codes = generator.natural() if generator.natural is not None else torch.empty(0, 512)
    Path(settings.out).parent.mkdir(parents=True, exist_ok=True)
    lines = []
    with Path(settings.out).open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for unit, rows, low, high in units(settings, network, photographs):
            line = measure(settings, judge, generator, photographs, rows, codes, unit, (low, high))
            lines.append(line)
            table.writerow(line)
            file.flush()
            print("  ".join(f"{name} {write(value)}" for name, value in line.items()), flush=True)
    for name in COLUMNS[3:]:
        numbers = [line[name] for line in lines if line[name] == line[name]]
        if numbers:
            mean, low, high = mean_over_groups(numbers)
            print(f"{name}: {mean:.3g} ({low:.3g} to {high:.3g}), median {median(numbers):.3g}")


def read_settings(arguments: Sequence[str]) -> Settings:
    """From key=value. Raises ConfigError."""
    try:
        given = OmegaConf.merge(OmegaConf.structured(Settings), OmegaConf.from_dotlist(list(arguments)))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    settings = OmegaConf.to_object(given)
    assert isinstance(settings, Settings)
    if not settings.data:
        raise ConfigError("data=FOLDER: photographs, a subfolder for each class.")
    return settings


def look(settings: Settings, network: Network) -> Photographs:
    """What the network under study makes of the folder's photographs; maps at their middles."""
    images = ImageFolder(settings.data, network.input_shape[1:])
    drawn = random.Random(settings.seed)
    files = sorted(drawn.sample(images.files, min(settings.photographs, len(images.files))))
    layers: dict[str, list[Tensor]] = {name: [] for name in (*HIDDEN, "fc8")}
    for start in range(0, len(files), BATCH):
        outputs = network.read(list(layers), read(images, files[start : start + BATCH]))
        for name, parts in layers.items():
            parts.append(middle(outputs[name]))
    rows = {name: row for row, name in enumerate(class_folders())}
    shown = torch.tensor([rows[path.parent.name] for path in files])
    return Photographs(images, files, {name: torch.cat(parts) for name, parts in layers.items()}, shown)


def read(images: ImageFolder, files: Sequence[Path]) -> Tensor:
    """Photographs (b, 3, h, w). Raises ConfigError: one cannot be read."""
    read = [images.read(path) for path in files]
    if missing := [path for path, image in zip(files, read, strict=True) if image is None]:
        raise ConfigError(f"{missing[0]}: cannot be read as an image; take it out.")
    return torch.stack([image for image in read if image is not None])


def middle(outputs: Tensor) -> Tensor:
    """(b, c, h, w) -> (b, c), where units are read by default; a copy, for the maps to go."""
    return outputs[:, :, outputs.shape[2] // 2, outputs.shape[3] // 2].clone() if outputs.ndim == 4 else outputs


def judge_images(judge: Network, images: Tensor) -> tuple[Tensor, Tensor]:
    """Pooled features and logits of images."""
    with torch.no_grad():
        parts = [judge.read(["pool", "fc8"], batch) for batch in images.split(BATCH)]
    return torch.cat([part["pool"].flatten(1) for part in parts]), torch.cat([part["fc8"] for part in parts])


def units(settings: Settings, network: Network, photographs: Photographs) -> Iterator[tuple[str, Tensor, float, float]]:
    """Units drawn by the random seed: name, rows of the photographs to stand beside the samples (m,), range."""
    drawn = random.Random(settings.seed)
    trained = OmegaConf.load(Path(__file__).parent / "training" / "configs" / "experiment" / "shipped.yaml").classes
    generated = [row for row, name in enumerate(class_names()) if name in trained]
    shown = [row for row in generated if (photographs.rows == row).any()]
    for row in drawn.sample(shown, min(settings.classes, len(shown))):
        activations = photographs.layers["fc8"][:, row]
        own = (photographs.rows == row).nonzero().flatten()
        low, high = float(activations[own].median()), float(activations[own].quantile(0.95))
        if settings.top:
            survey = invset.probe(f"fc8:{row + 1}", seed=settings.seed)
            assert isinstance(survey, invset.Survey)
            low, high = survey.ranges[-1]
        yield f"fc8:{row + 1}", own if settings.top else between(activations, low, high), low, high
    for number in range(0 if settings.top else settings.hidden):
        layer = HIDDEN[number % len(HIDDEN)]
        while True:
            unit = drawn.randrange(network.units(layer))
            activations = photographs.layers[layer][:, unit]
            low, high = (float(activations.sort().values[int(share * len(activations))]) for share in (0.75, 0.97))
            if high > low > 0:
                break
        yield f"{layer}:{unit + 1}", between(activations, low, high), low, high


def between(activations: Tensor, low: float, high: float) -> Tensor:
    """The rows of activations (m,) in a range (k,)."""
    return ((activations >= low) & (activations <= high)).nonzero().flatten()


def measure(
    settings: Settings,
    judge: Network,
    generator: Generator,
    photographs: Photographs,
    natural: Tensor,
    codes: Tensor,
    unit: str,
    ends: tuple[float, float],
) -> dict[str, Any]:
    """A line of the table."""
    natural = natural[torch.randperm(len(natural), generator=torch.Generator().manual_seed(settings.seed))]
    natural = natural[: 2 * settings.n]
    samples = invset.sample(unit, ends, n=settings.n, seed=settings.seed, **settings.sample)
    line: dict[str, Any] = dict.fromkeys(COLUMNS, float("nan"))
    line |= {"unit": samples.units[0], "low": ends[0], "high": ends[1], "n": len(samples)}
    line["seconds"] = samples.summary["seconds"]
    if min(len(samples), len(natural)) < 2 * NEIGHBOURS:
        return line
    with torch.no_grad():
        rebuilt = torch.cat([generator(batch) for batch in photographs.layers["fc6"][natural].split(BATCH)])
    images = (samples.images, rebuilt, read(photographs.images, [photographs.files[row] for row in natural.tolist()]))
    judged = [judge_images(judge, of) for of in images]
    line |= dict(zip([f"vendi{of}" for of in OF], vendi_ratios([features for features, _ in judged]), strict=True))
    half = len(natural) // 2
    real = judged[-1][0][:half]
    for of, (features, logits) in zip(OF, judged, strict=True):
        if unit.startswith("fc8:"):
            row = int(unit.removeprefix("fc8:")) - 1
            line[f"recognised{of}"] = float(in_top(logits, row, 5).float().mean())
        others = features[:half] if of == "" else features[half:][: len(samples)]
        line[f"density{of}"], line[f"coverage{of}"] = density_and_coverage(real, others)
    line["passes"] = samples.summary["passes"]["forward"] / len(samples)
    if len(codes):
        unrelated = torch.pdist(codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))[:500]])
        nearest = exact_distances(samples.codes, codes).amin(dim=1) / unrelated.median()
        line["nearest"] = float(nearest.quantile(0.01))
    return line


def vendi_ratios(features: Sequence[Tensor]) -> list[float]:
    """The Vendi scores of sets of images (m, d), at equal m, over that of the last, whose distances set the scale."""
    count = min(map(len, features))
    bandwidth = float(torch.pdist(features[-1][:count].double()).median()) / 2
    scores = [vendi_score(gaussian_kernel(of[:count], bandwidth)) for of in features]
    return [score / scores[-1] for score in scores]


def density_and_coverage(real: Tensor, others: Tensor) -> tuple[float, float]:
    """Naeem et al. 2020, eqs. 4 and 5: (m, d) and (n, d); radii reach each real one's 5th neighbour."""
    own = exact_distances(real.double(), real.double())
    radii = own.sort(dim=1).values[:, min(NEIGHBOURS, len(real) - 1)]
    inside = exact_distances(real.double(), others.double()) <= radii[:, None]
    return float(inside.sum() / (NEIGHBOURS * len(others))), float(inside.any(dim=1).float().mean())


def write(value: Any) -> str:
    """A number in three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    try:
        main()
    except InvsetError as error:
        sys.exit(f"natural.py: {error}")
