"""`invset compare`: finished runs side by side, as a table and as pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.table import Table
from rich.text import Text
from yaml import YAMLError  # type: ignore[import-untyped]

from invset.cli.check import Targets, check_sample, near_names
from invset.cli.compare_settings import parse, run_names
from invset.cli.fetching import fetch_for_run
from invset.cli.help import HELP
from invset.cli.report import shown
from invset.cli.schema import NetworkConfig, SampleConfig
from invset.errors import ConfigError, RunFolderError
from invset.run.layout import Layout

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from invset.cli.encoder import Networks
    from invset.report.comparison import Measured, Row
    from invset.report.readings import Observer
    from invset.report.runs import FinishedRun

TITLES = 24  # characters that titles of rows should have at least


def run(arguments: list[str], console: Console | None = None) -> int:
    """Do what the arguments say; returns the exit code.

    Raises:
        ConfigError: wrong usage, no such run, or runs that cannot be compared.
        RunFolderError: a run that is not finished, has too few samples or is damaged; or `out` cannot be written.
        WeightsError: the weights of the first run's encoder, or of the independent network, cannot be used.
    """
    console = console if console is not None else Console()
    if not arguments or any(argument in ("-h", "--help", "help") for argument in arguments):
        console.print(HELP["compare"].rstrip(), highlight=False, markup=False, soft_wrap=True)
        return 0
    settings = parse(arguments)
    configs = [read_config(folder) for folder in settings.folders]
    targets = [_targets(folder, config) for folder, config in zip(settings.folders, configs, strict=True)]

    from invset.cli.build import prepare_torch
    from invset.report.comparison import compared
    from invset.report.pages import notes, pictures
    from invset.report.readings import measured
    from invset.report.runs import read_run
    from invset.run.summary import NEAR

    runs = [
        read_run(folder, config.method.name, target.ranges)
        for folder, config, target in zip(settings.folders, configs, targets, strict=True)
    ]
    names = run_names(settings.folders)
    n = _equal_n(runs, names, settings.n)
    _require_known_functions(configs[0], settings.folders[0], settings.factory)
    device = prepare_torch("auto", None)
    networks = _networks(configs[0], device)
    encode, where = encoder_of(configs[0], networks)
    observer = _observer(settings.features, networks)
    samples = [
        measured(one, name, n, settings.seed, encode, observer, device) for one, name in zip(runs, names, strict=True)
    ]
    _require_one_size(samples, names)
    rows = compared(samples, runs[0].number("unrelated_distance"), NEAR, settings.seed)
    told = notes(runs, names, n, where, settings.seed)
    if settings.features is not None and settings.features == configs[0].network.kind:
        told.append(f"features={settings.features} is the network of {names[0]}, and no independent one.")
    _print(console, names, rows, told)
    _write(settings.out, names, rows, told, pictures(runs, samples, n, settings.seed))
    console.print(f"{shown(settings.out)}", highlight=False, markup=False, soft_wrap=True)
    return 0


def read_config(folder: Path) -> SampleConfig:
    """The config of the run in a folder.

    Raises:
        RunFolderError: it cannot be read, or is none.
    """
    path = Layout(folder).config
    try:
        values = OmegaConf.merge(OmegaConf.structured(SampleConfig), OmegaConf.create(path.read_text("utf-8")))
        config = OmegaConf.to_object(values)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror}). Put it back as the run left it.") from error
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, ValueError, TypeError) as error:
        reason = " ".join(f"{error}".split("\n")[0].split())
        raise RunFolderError(f"{path}: damaged: no config of a run ({reason}). Put it back as the run left it.") from (
            error
        )
    assert isinstance(config, SampleConfig)
    return config


def encoder_of(config: SampleConfig, networks: Networks) -> tuple[Callable[[Tensor], Tensor], str]:
    """Images (b, 3, h, w) -> encodings (b, d) by the encoder of a run's config, and what to call it.

    Raises:
        ConfigError: the config is of no network there is.
        WeightsError: a network's weights cannot be used.
    """
    from invset.cli.encoder import built_encoder, given, settled_encoder
    from invset.models.reader import Encoder
    from invset.models.registry import build_generator

    settled = config.encoder
    encoder: Encoder | None = None
    if settled.network in ("same", "auto", "own"):
        network = networks.get(config.network.kind, config.network)
        if settled.network != "same":  # written by hand: a run's own config says what it was
            generator = build_generator(config.generator.kind, find=fetch_for_run, **given(config.generator))
            settled = settled_encoder(settled, config.network, network, generator)
        encoder = built_encoder(settled, network, networks)
    elif settled.network != "none" and settled.layer is not None:
        encoder = Encoder(networks.get(settled.network, settled), settled.layer)
    if encoder is None:
        return (lambda images: images.flatten(1)), "of the images themselves"
    return encoder, f"in {encoder.layer} of {encoder.network.name}"


def _networks(config: SampleConfig, device: torch.device) -> Networks:
    from invset.cli.build import PRECISIONS
    from invset.cli.encoder import Networks

    # Where float16 is not to be had, float32 comes nearest to what the run computed.
    precision = "float32" if device.type == "cpu" and config.precision == "float16" else config.precision
    return Networks(lambda network: network.to(device, PRECISIONS[precision]))


def _observer(features: str | None, networks: Networks) -> Observer | None:
    """The independent network that features= names, KIND or KIND:NAME."""
    from invset.models.registry import NETWORKS
    from invset.report.readings import Observer

    if features is None:
        return None
    kind, _, name = features.partition(":")
    if kind not in NETWORKS or kind in ("custom", "linear"):
        raise ConfigError(f"features={features}: {near_names(kind, set(NETWORKS) - {'custom', 'linear'})}")
    if kind in ("timm", "torchvision") and not name:
        raise ConfigError(f"features={kind}: it has many networks; give the name of one, as features={kind}:resnet18.")
    return Observer.of(networks.get(kind, NetworkConfig(kind, name or None)))


def _require_known_functions(config: SampleConfig, folder: Path, named: str | None) -> None:
    """Folders of runs are passed on: a function that one names is called only if the user names it too."""
    for part in (config.network, config.encoder, config.generator):
        if part.factory is not None and part.factory != named:
            raise ConfigError(
                f"{folder}: this run calls a function, {part.factory}. If it is yours, compare with "
                f"factory={part.factory}, or give another run first."
            )


def _targets(folder: Path, config: SampleConfig) -> Targets:
    try:
        return check_sample(config)
    except ConfigError as error:
        raise RunFolderError(f"{Layout(folder).config}: damaged: {error}") from error


def _equal_n(runs: Sequence[FinishedRun], names: Sequence[str], asked: int | None) -> int:
    smallest = min(range(len(runs)), key=lambda index: runs[index].count)
    most = runs[smallest].count
    if asked is not None and asked > most:
        raise ConfigError(f"n={asked}: {names[smallest]} has {most} samples; give {most} or fewer, or leave it out.")
    return most if asked is None else asked


def _require_one_size(samples: Sequence[Measured], names: Sequence[str]) -> None:
    """Without an encoder, encodings are as long as images are large."""
    first = samples[0].encodings.shape[1]
    for one, name in zip(samples, names, strict=True):
        if one.encodings.shape[1] != first:
            raise ConfigError(
                f"{name}: its images are of another size than those of {names[0]}, whose encoder is the images "
                "themselves. Give a run with an encoder first."
            )


def _print(console: Console, names: Sequence[str], rows: Sequence[Row], notes: Sequence[str]) -> None:
    from invset.report.tables import shown as cell_text

    cells = [[cell_text(cell) for cell in row.cells] for row in rows]
    widths = [max(map(len, (name, *column))) for name, column in zip(names, zip(*cells, strict=True), strict=True)]
    # Intervals go on a line of their own before they would be broken in the middle.
    fits = sum(widths) + 2 * len(widths) + TITLES <= console.width
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for row, texts in zip(rows, cells, strict=True):
        table.add_row(Text(row.title), *(Text(text if fits else text.replace(" [", "\n[")) for text in texts))
    console.print(table)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _write(
    out: Path,
    names: Sequence[str],
    rows: Sequence[Row],
    notes: Sequence[str],
    pictures: Sequence[Image],
) -> None:
    from invset.report.tables import as_csv, as_markdown
    from invset.run.files import write_atomically

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot be made a folder ({error.strerror}). Choose another with out=.") from error
    write_atomically(out / "compare.csv", as_csv(names, rows).encode("utf-8", "replace"))
    write_atomically(out / "compare.md", as_markdown(names, rows, notes).encode("utf-8", "replace"))
    for name, picture in zip(("rows.png", "histograms.png"), pictures, strict=True):
        encoded = io.BytesIO()
        picture.save(encoded, format="PNG")
        write_atomically(out / name, encoded.getvalue())
