"""Reads the samples of finished runs with one encoder, and with a network that had no part in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.errors import ConfigError, NonFiniteError
from invset.models.network import Network
from invset.names import plain
from invset.report.measured import Measured, chosen
from invset.report.runs import FinishedRun

Encode = Callable[[Tensor], Tensor]
"""images (b, 3, h, w) in [0, 1] -> encodings (b, d)"""

SEEN = 3  # classes that are named of those an independent network sees
POOLS = ("pool", "global_pool", "avgpool", "fc7")  # what a network has before its classes, by its usual names


@dataclass(frozen=True)
class Observer:
    """A network that had no part in the runs: its features, and the logits of its classes where they have names."""

    network: Network
    pool: str
    classes: str | None

    @classmethod
    def of(cls, network: Network) -> Observer:
        """The network with the layers that are read of it.

        Raises:
            ConfigError: it has no pool layer of a usual name.
        """
        pool = next((layer for layer in POOLS if layer in network.layers), None)
        if pool is None:
            raise ConfigError(
                f"features={network.name}: this network has no layer {', '.join(POOLS[:-1])} or {POOLS[-1]}, which "
                "features are taken from; choose another, as efficientnet_lite0."
            )
        named = [layer for layer in network.layers if network.labels.get(layer) and len(network.shape(layer)) == 1]
        return cls(network, pool, named[-1] if named else None)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (b, 3, h, w) in [0, 1] -> features (b, f), logits (b, classes)."""
        layers = [self.pool] if self.classes is None else [self.pool, self.classes]
        outputs = self.network.read(layers, images)
        return outputs[self.pool].flatten(1), None if self.classes is None else outputs[self.classes]

    def row(self, label: str | None) -> int | None:
        """Which of its classes has that name; None if none or several have."""
        names = [plain(name) for name in self.network.labels.get(self.classes or "", ())]
        return names.index(plain(label)) if label is not None and names.count(plain(label)) == 1 else None

    def seen(self, logits: Tensor, count: int = SEEN) -> str:
        """(n, classes) logits -> the classes most often first, with their shares: `volcano 44%, alp 12%`."""
        tops = Counter(logits.argmax(dim=1).tolist()).most_common(count)
        names = self.network.labels[self.classes or ""]
        return ", ".join(f"{names[row]} {times / len(logits):.0%}" for row, times in tops)


def measured(
    run: FinishedRun,
    name: str,
    n: int,
    random_seed: int,
    encode: Encode,
    observer: Observer | None,
    device: torch.device,
) -> Measured:
    """Some n of a run's samples, encoded and looked at afresh from their PNGs; none if it has fewer.

    Raises:
        RunFolderError: an image is missing or damaged.
        NonFiniteError: a network gave NaN or infinity.
    """
    rows = chosen(run.count, n, random_seed) if n and run.count >= n else []
    encodings, features, logits = [], [], []
    with torch.no_grad():
        for batch in run.images(rows):
            images = batch.to(device)
            encodings.append(encode(images).cpu())
            if observer is not None:
                seen, scores = observer.read(images)
                features.append(seen.cpu())
                logits.append(None if scores is None else scores.cpu())
    classes = _finite([one for one in logits if one is not None], run) if logits and logits[0] is not None else None
    return Measured(
        name=name,
        method=run.method,
        total=run.count,
        encodings=_finite(encodings, run) if rows else torch.empty(0, 1),
        activations=run.activations[rows],
        units=run.units,
        ranges=run.ranges,
        codes=None if run.codes is None else run.codes[rows],
        in_range=run.number("acceptance"),
        passes=run.passes,
        steps=run.number("gradient_steps"),
        seed_steps=run.number("seed_steps"),
        seconds=run.number("seconds"),
        wanted=run.number("wanted"),
        features=_finite(features, run) if features else None,
        logits=classes,
        classes=() if observer is None else tuple(map(observer.row, run.labels)),
        seen=None if observer is None or classes is None else observer.seen(classes),
    )


def pictured(run: FinishedRun, rows: Sequence[int]) -> list[Tensor]:
    """The images (3, h, w) of these rows. Raises RunFolderError if one is missing or damaged."""
    return [image for batch in run.images(rows) for image in batch]


def _finite(batches: Sequence[Tensor], run: FinishedRun) -> Tensor:
    whole = torch.cat(list(batches))
    if not whole.isfinite().all():
        raise NonFiniteError(f"{run.root}: a network gave NaN or infinity for its images; check the network's weights.")
    return whole
