"""Finished runs measured together: by one encoder, at equal n."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from invset.cli.finished import (
    encoder_of,
    networks_for,
    observer_of,
    read_config,
    require_known_functions,
    targets_of,
)  # fmt: skip
from invset.errors import ConfigError

if TYPE_CHECKING:
    from invset.cli.encoder import Networks
    from invset.report.readings import Measured
    from invset.report.runs import FinishedRun
    from invset.report.tables import Row


class Together(NamedTuple):
    """Runs, their n samples each, and the rows of their table.

    Attributes:
        samples: n of each, encoded by the first run's encoder; none of a run that has too few.
        rows: the table.
        n: how many samples of a run are compared; 0 where no run has two.
        where: what encodings are, as "in fc6 of mini".
        kind: of the first run's network.
    """

    samples: list[Measured]
    rows: list[Row]
    n: int
    where: str
    kind: str


def together(
    folders: Sequence[Path],
    names: Sequence[str],
    n: int | None = None,
    features: str | None = None,
    seed: int = 0,
    factory: str | None = None,
    least: int = 2,
    most: int | None = None,
    networks: Networks | None = None,
    device: str = "auto",
) -> Together:
    """Measure finished runs.

    Args:
        folders: of the runs; the first one's encoder serves all.
        names: what to call them.
        n: samples of each; None: as many as the smallest run of at least `least` has, and `most` at most.
        features: an independent network, KIND or KIND:NAME.
        seed: of the choice of samples and of intervals.
        factory: the function that the first run's config may call.
        least: a run of fewer samples than this, 2 or more, is measured by its budget alone.
        most: see n.
        networks: those that are built already, on `device`; None: they are built for this.
        device: auto, cpu, cuda, cuda:1.

    Raises:
        ConfigError: there is no such network, or runs cannot be compared.
        RunFolderError: a run is not finished, or is damaged.
        WeightsError: weights of the encoder or of the independent network cannot be used.
    """
    configs = [read_config(folder) for folder in folders]
    targets = [targets_of(folder, config) for folder, config in zip(folders, configs, strict=True)]

    from invset.cli.device import prepare_torch
    from invset.report import comparison
    from invset.report.readings import measure_run
    from invset.report.runs import read_run
    from invset.run.summary import NEAR

    runs = [
        read_run(folder, config.method.name, target.ranges)
        for folder, config, target in zip(folders, configs, targets, strict=True)
    ]
    n = _equal_n(runs, names, n, least, most)
    require_known_functions(configs[0], folders[0], factory)
    placed = prepare_torch(device, None)
    networks = networks_for(configs[0], placed) if networks is None else networks
    encode, where = encoder_of(configs[0], networks)
    observer = observer_of(features, networks)
    samples = [measure_run(one, name, n, seed, encode, observer, placed) for one, name in zip(runs, names, strict=True)]
    _require_one_size(samples, names)
    rows = comparison.compare(samples, runs[0].number("unrelated_distance"), NEAR, seed)
    return Together(samples, rows, n, where, configs[0].network.kind)


def _equal_n(runs: Sequence[FinishedRun], names: Sequence[str], asked: int | None, least: int, most: int | None) -> int:
    counts = {name: run.count for run, name in zip(runs, names, strict=True) if run.count >= least}
    if not counts:
        return 0
    smallest = min(counts, key=lambda name: counts[name])
    if asked is not None and asked > counts[smallest]:
        raise ConfigError(
            f"n={asked}: {smallest} has {counts[smallest]} samples; give {counts[smallest]} or fewer, or leave it out."
        )
    return min(most or counts[smallest], counts[smallest]) if asked is None else asked


def _require_one_size(samples: Sequence[Measured], names: Sequence[str]) -> None:
    """Without an encoder, encodings are as long as images are large."""
    with_samples = [(one, name) for one, name in zip(samples, names, strict=True) if len(one.encodings)]
    for one, name in with_samples[1:]:
        first, first_name = with_samples[0]
        if one.encodings.shape[1] != first.encodings.shape[1]:
            raise ConfigError(
                f"{name}: its images are of another size than those of {first_name}, and the encoder is the images "
                "themselves. Give a run with an encoder first."
            )
