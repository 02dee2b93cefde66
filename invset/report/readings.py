"""Finished runs measured: their samples encoded afresh, and seen by a network that had no part in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invset.errors import ConfigError, NonFiniteError
from invset.models.network import Network
from invset.names import plain
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
                f"{network.name} has no layer {', '.join(POOLS[:-1])} or {POOLS[-1]}, which features are taken from; "
                "choose another network, as efficientnet_lite0."
            )
        named = [layer for layer in network.layers if network.labels.get(layer) and len(network.shape(layer)) == 1]
        return cls(network, pool, named[-1] if named else None)

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (b, 3, h, w) in [0, 1] -> features (b, f), logits (b, classes) or, without classes, (b, 0)."""
        outputs = self.network.read([self.pool, *([self.classes] if self.classes else [])], images)
        logits = outputs[self.classes] if self.classes else images.new_empty(len(images), 0)
        return outputs[self.pool].flatten(1), logits

    def row(self, label: str | None) -> int | None:
        """Which of its classes has that name; None if none or several have."""
        names = [plain(name) for name in self.network.labels.get(self.classes or "", ())]
        return names.index(plain(label)) if label is not None and names.count(plain(label)) == 1 else None

    def describe(self, logits: Tensor) -> str:
        """(n, classes) logits -> the classes most often first, with their shares: `volcano 44%, alp 12%`."""
        tops = Counter(logits.argmax(dim=1).tolist()).most_common(SEEN)
        names = self.network.labels[self.classes or ""]
        return ", ".join(f"{names[row]} {times / len(logits):.0%}" for row, times in tops)


@dataclass(frozen=True)
class Measured:
    """One run's n samples, or none where it has too few, and what an independent network makes of them.

    Attributes:
        name: what the table calls the run.
        run: as its folder has it.
        rows: which of the run's samples they are, from 0 and in order.
        encodings: (n, d), all runs' by one encoder; (0, 1) of a run with fewer than n.
        activations: (n, p).
        codes: (n, c), or None.
        features: (n, f) of an independent network, or None.
        logits: (n, classes) of it, or None.
        classes: for each unit its row in the logits, or None; () for none at all.
        top_classes: what the independent network most often takes the samples for, or None.
    """

    name: str
    run: FinishedRun
    rows: Sequence[int]
    encodings: Tensor
    activations: Tensor
    codes: Tensor | None = None
    features: Tensor | None = None
    logits: Tensor | None = None
    classes: tuple[int | None, ...] = ()
    top_classes: str | None = None


def chosen(total: int, n: int, random_seed: int) -> list[int]:
    """Which n of `total` samples are compared, from 0 and in order: all, or a random subset without replacement.

    Not the first n, which would be other samples than a run's usual ones: they lie closest to its starts.
    """
    generator = torch.Generator().manual_seed(random_seed)
    return sorted(torch.randperm(total, generator=generator)[:n].tolist())


def measure_run(
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
                found, scores = observer.read(images)
                features.append(found.cpu())
                logits.append(scores.cpu())
    whole = _joined(logits, run) if logits and logits[0].shape[1] else None
    return Measured(
        name=name,
        run=run,
        rows=rows,
        encodings=_joined(encodings, run).float() if rows else torch.empty(0, 1),
        activations=run.activations[rows],
        codes=None if run.codes is None else run.codes[rows],
        features=_joined(features, run).float() if features else None,
        logits=whole,
        classes=() if observer is None else tuple(map(observer.row, run.labels)),
        top_classes=None if observer is None or whole is None else observer.describe(whole),
    )


def _joined(batches: Sequence[Tensor], run: FinishedRun) -> Tensor:
    whole = torch.cat(list(batches))
    if not whole.isfinite().all():
        raise NonFiniteError(f"{run.root}: a network gave NaN or infinity for its images; check the network's weights.")
    return whole
