"""Finished runs as commands find them: their folders, their samples measured by one encoder, and what is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor

from invset.assemble.device import place, prepare_torch
from invset.assemble.models import Networks
from invset.cli.fetching import fetch_for_run
from invset.errors import ConfigError, RunFolderError
from invset.files import describing
from invset.models.reader import Encoder
from invset.models.registry import NETWORKS, takes_option
from invset.names import hint
from invset.report.readings import Measured, Observer, measure_run
from invset.report.runs import FinishedRun, read_run
from invset.run.json_files import write_atomically
from invset.run.layout import Layout
from invset.run.sheet import save_picture
from invset.settings import NetworkSettings, SampleSettings

OF_A_SWEEP = ("multirun.yaml", "overview.csv", "overview.png")  # files that outputs/sweeps/DATE/TIME/* finds too


class MeasuredRuns(NamedTuple):
    """Some runs' samples, measured alike.

    Attributes:
        samples: n of each run, encoded by the first run's encoder; none of a run that has too few.
        n: how many samples of a run are compared; 0 where no run has two.
        where: what encodings are, as "in fc6 of mini".
        observer: the independent network, if one was asked for.
    """

    samples: list[Measured]
    n: int
    where: str
    observer: Observer | None


def run_folders(words: Sequence[str], several: bool = True) -> list[Path]:
    """The folders of runs that were given, each once. Raises ConfigError: there is no run in one.

    `several`: the command takes more than one, as the advice then says.
    """
    folders = [Path(word) for word in words if Path(word).name not in OF_A_SWEEP or Path(word).is_dir()]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("the same run is given twice: give each once.")
    for folder in folders:
        if Layout(folder).config.is_file():
            continue
        if inner := sorted(path.parent for path in folder.glob("*/config.yaml")):
            how_many = "1 run" if len(inner) == 1 else f"{len(inner)} runs"
            advice = f"give these, as {folder}/*" if several else f"give one, as {inner[-1]}"
            raise ConfigError(f"{folder}: holds {how_many} but is not a run itself: {advice}")
        raise ConfigError(f"{folder}: there is no such run (no config.yaml); give the folder that invset sample wrote.")
    return folders


def one_run(command: str, words: Sequence[str]) -> Path:
    """The folder of the one run that a command is for. Raises ConfigError: no run is given, or several."""
    folders = run_folders(words, several=False)
    if len(folders) != 1:
        raise ConfigError(f"invset {command} takes one run: give its folder, as invset {command} outputs/DATE/TIME.")
    return folders[0]


def choose_folder(command: str, out: str | None) -> Path:
    """Where a command writes."""
    return Path(out or time.strftime(f"outputs/{command}/%Y-%m-%d/%H-%M-%S"))


def write_files(out: Path, texts: Mapping[str, str], pictures: Mapping[str, Image]) -> None:
    """Write texts and pictures into a folder. Raises RunFolderError: it cannot be made, or written to."""
    with describing(RunFolderError, out, ", or choose another folder with out="):
        out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(out / name, text.encode("utf-8", "replace"))
    for name, picture in pictures.items():
        save_picture(out / name, picture)


def measure_runs(
    folders: Sequence[Path],
    names: Sequence[str],
    n: int | None = None,
    features: str | None = None,
    random_seed: int = 0,
    factory: str | None = None,
    least: int = 2,
    most: int | None = None,
    device: torch.device | None = None,
    networks: Networks | None = None,
) -> MeasuredRuns:
    """Measure n samples of each of some finished runs, encoded by the first one's encoder.

    n None: as many as the smallest run of at least `least`, 2 or more, has, and `most` at most; a run of fewer samples
    has none. `factory` is the function that the first run's config may call; `networks` are those built already, on
    `device`.
    """
    runs = [read_run(folder) for folder in folders]
    n = _equal_n(runs, names, n, least, most)
    first = runs[0].settings
    _require_known_functions(first, folders[0], factory)
    device = device or prepare_torch("auto", None)
    networks = networks or networks_of(first, device)
    encode, where = _encoder_of(first, networks)
    observer = observer_of(features, networks)
    pairs = zip(runs, names, strict=True)
    samples = [measure_run(run, name, n, random_seed, encode, observer, device) for run, name in pairs]
    sizes = {one.encodings.shape[1]: one.name for one in reversed(samples) if len(one.encodings)}
    if len(sizes) > 1:  # without an encoder, encodings are as long as images are large
        *others, own = sizes.values()
        raise ConfigError(
            f"{others[-1]}: its images are of another size than those of {own}, and the encoder is the images "
            "themselves. Give a run with an encoder first."
        )
    return MeasuredRuns(samples, n, where, observer)


def networks_of(settings: SampleSettings, device: torch.device) -> Networks:
    """Networks that are built once each, in the precision of a run."""
    precision = settings.precision
    if device.type == "cpu" and precision in ("float16", "tf32"):
        precision = "float32"  # not to be had here, and nearest to what the run computed
    to_device = partial(place, device=device, precision=precision, channels_last=settings.channels_last)
    return Networks(to_device, fetch_for_run)


def observer_of(features: str | None, networks: Networks) -> Observer | None:
    """The independent network that features= names, KIND or KIND:NAME. Raises ConfigError: there is none."""
    if features is None:
        return None
    kind, _, name = features.partition(":")
    known = [known for known in NETWORKS if not takes_option(known, "factory")]
    if kind not in known:
        raise ConfigError(f"features={features}: {hint(kind, known)}")
    if takes_option(kind, "name") and not name:
        raise ConfigError(f"features={kind}: it has many networks; give the name of one, as features={kind}:resnet18.")
    return Observer.of(networks.get(kind, NetworkSettings(kind, name or None)))


def is_own_network(features: str | None, settings: SampleSettings) -> bool:
    """Whether features= names the very network that a run studied, and so no independent one."""
    network = settings.network
    return features == (f"{network.kind}:{network.name}" if network.name else network.kind)


def _encoder_of(settings: SampleSettings, networks: Networks) -> tuple[Callable[[Tensor], Tensor], str]:
    """Images (b, 3, h, w) -> encodings (b, d) by the encoder of a run's config, and what to call it."""
    own = settings.encoder
    if own.network == "none" or own.layer is None:
        return (lambda images: images.flatten(1)), "of the images themselves"
    same = own.network == "same"
    network = networks.get(settings.network.kind, settings.network) if same else networks.get(own.network, own)
    return Encoder(network, own.layer), f"in {own.layer} of {network.name}"


def _require_known_functions(settings: SampleSettings, folder: Path, named: str | None) -> None:
    """Folders of runs are passed on: a function that one names is called only if the user names it too."""
    for part in (settings.network, settings.encoder, settings.generator):
        if part.factory is not None and part.factory != named:
            raise ConfigError(
                f"{folder}: this run calls a function, {part.factory}, to make its encoder. If it is yours, add "
                f"factory={part.factory} to the command."
            )


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
