"""One call each: list units, probe what one reaches, sample its inverse set, load a finished run."""

from __future__ import annotations

import inspect
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, overload

import torch
from PIL import Image
from torch import Tensor, nn

from invset.assemble.manifest import describe_run
from invset.assemble.methods import settle
from invset.assemble.models import Given, build_models, build_to_list
from invset.assemble.running import Run
from invset.assemble.sampling import assemble, parse_neurons
from invset.errors import ConfigError, RunFolderError
from invset.files import describing
from invset.models.custom import generator_in_memory, network_in_memory
from invset.models.listing import list_units
from invset.models.network import Generator, Network
from invset.models.registry import IN_MEMORY
from invset.report.runs import read_run
from invset.run.config import write_config
from invset.run.folder import RunFolder
from invset.run.images import encode_png, open_png, to_picture
from invset.run.json_files import read_json
from invset.run.layout import Layout
from invset.settings import EncoderSettings, ProbeSettings, SampleSettings, UnitsSettings, check, from_dict
from invset.survey import Survey, survey

Units = str | Sequence[str]
"""layer:unit, as fc8:981 or fc8:goldfish; several for an intersection"""

Range = Sequence[Any]
"""(z1, z2); of several units a range each"""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of the inverse set of a unit, as `sample` and `load` return them; `samples[3]` is a PIL image.

    Attributes:
        images: (n, 3, h, w) in [0, 1], as saved.
        activations: (n, p), of the images as saved.
        codes: (n, c), float32.
        units: of each activation, with the name of its class.
        ranges: of each unit.
        summary: the figures of summary.json: status, passes, distances.
        grid: up to 60 of the samples with their activations; None without samples.
        folder: where the run is; of `sample` it goes with the object, unless it is saved or a folder was given.
    """

    images: Tensor
    activations: Tensor
    codes: Tensor
    units: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    summary: Mapping[str, Any]
    grid: Image.Image | None
    folder: Path

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...

    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...

    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        chosen = self.images[index]
        return [to_picture(image) for image in chosen] if isinstance(index, slice) else to_picture(chosen)

    def __repr__(self) -> str:
        ends = ", ".join(
            f"{unit} in [{low:g}, {high:g}]" for unit, (low, high) in zip(self.units, self.ranges, strict=True)
        )
        return f"<{len(self)} samples: {ends}; {self.summary.get('status')}>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        return None if self.grid is None else encode_png(self.grid)

    def save(self, folder: str | Path) -> Path:
        """Copy the run to a folder that is not there yet; what it holds, `load` and the command line can use.

        Raises:
            RunFolderError: there is something, or it cannot be written.
        """
        if Path(folder).exists():
            raise RunFolderError(f"{folder}: there is something already; choose another folder.")
        with describing(RunFolderError, Path(folder), ", or choose another folder"):
            return Path(shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".lock")))


def sample(
    unit: Units, range: Range | Literal["auto"] | None = None, *, folder: str | Path | None = None, **settings: Any
) -> Samples:
    """Sample the inverse set of a unit: images whose activation of it lies in a range.

    Args:
        unit: layer:unit, or several.
        range: (z1, z2), or a range for each unit; None or "auto": one that it reaches, which the result's `ranges` say.
        folder: where the run is kept; None: nowhere.
        settings: those of `invset sample`, as n=50, seed=1, network="mini", method="paper", schedule={"K": 20}; the
            images to start from are `images`. `network` and `generator` may be models in memory, which stay as they
            are (a copy is run, in eval mode and float32): an invset.Network or Generator, or torch modules. Of a module
            as network, `size` is the pixels a side that it takes (left out: those of a generator of your own), and
            `mean` and `deviation` what becomes of RGB in [0, 1] first. Of one as generator, `code` is the numbers in a
            code, and `output` the range of its pixels, as (-1, 1) (left out: [0, 1]).

    Returns:
        As many samples as were found: their `summary["status"]` is complete, incomplete or unreachable.

    Raises:
        ConfigError: a setting is wrong, or there is no such unit.
        WeightsError: a file of weights cannot be used.
        InvsetError: a network gave NaN or infinity, memory does not suffice, or the folder cannot be written.
    """
    if settings.get("resume") is not None:
        raise ConfigError("resume is of the command line (invset sample resume=FOLDER); invset.load reads a folder.")
    given = _take_models(settings)
    asked = _settings(SampleSettings, settings, neuron=unit, range="auto" if range is None else range)
    sampling = assemble(asked, given=given)
    asked = sampling.settle(settle(asked))
    with ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="invset-"))) / "run"
        created = RunFolder.create(Path(folder), write_config(asked), describe_run(asked, sampling, []))
        with created as opened, closing(Run(asked, sampling, opened)) as run:
            for _ in run.steps():
                pass
            run.finish()
        samples = load(folder)
        weakref.finalize(samples, stack.pop_all().close)
    return samples


def load(folder: str | Path) -> Samples:
    """The samples of a finished run, of `sample` or of the command line.

    Raises:
        RunFolderError: there is no finished run, or it is damaged.
    """
    root = Path(folder)
    paths, finished = Layout(root), read_run(root)
    rows = list(range(finished.count))
    images = torch.cat([*finished.images(rows)]) if rows else torch.zeros(0, 3, 0, 0)
    grid = open_png(paths.samples) if rows else None
    units = tuple(read_json(paths.manifest).get("units", finished.units))
    codes = torch.zeros(0, 0) if finished.codes is None else finished.codes
    return Samples(images, finished.activations, codes, units, finished.ranges, finished.summary, grid, root)


def probe(unit: Units, **settings: Any) -> Survey | list[Survey]:
    """What a unit's activation reaches, and ranges that make sense; of several units a list.

    Args:
        unit: layer:unit, or several.
        settings: those of `invset probe`, as codes=64, network="mini"; `images` is a folder to probe over as well.
            Models in memory are given as to `sample`.

    Raises:
        ConfigError: a setting is wrong, or there is no such unit.
        WeightsError: a file of weights cannot be used.
    """
    given = _take_models(settings)
    asked = _settings(ProbeSettings, settings, neuron=unit)
    models = build_models(asked, parse_neurons(asked.neuron), given=given)
    surveys = list(survey(asked, models))
    return surveys[0] if isinstance(unit, str) else surveys


class Listing(tuple[str, ...]):
    """Lines that a notebook shows as they are."""

    def __repr__(self) -> str:
        return "\n".join(self)


def units(
    network: str | Mapping[str, Any] | nn.Module | Network = "mini", find: str | None = None, *, size: int | None = None
) -> Listing:
    """The layers of a network and how its units are written; no weights are fetched for it.

    Args:
        network: as for `sample`.
        find: a layer, for more on it; or a word to look for in the names of units.
        size: of a module, the pixels a side that it takes.

    Raises:
        ConfigError: there is no such network, or the module does not run at that size.
        InvsetError: nothing is found.
    """
    given: dict[str, Any] = {"network": network} if size is None else {"network": network, "size": size}
    ready = _take_models(given).network
    if ready is None:
        ready = build_to_list(_settings(UnitsSettings, given).network)
    return Listing(list_units(ready, find))


def _take_models(settings: dict[str, Any]) -> Given:
    """The models in memory among the settings, where descriptions are left in their place."""
    if "std" in settings:
        raise ConfigError(f"std={settings['std']}: it is called deviation here, as deviation=(0.229, 0.224, 0.225).")
    generator: Generator | None = _take("generator", (nn.Module, Generator), generator_in_memory, settings)
    height, width = (0, 1) if generator is None else generator.image_shape[1:]
    if isinstance(settings.get("network"), nn.Module) and height == width:
        settings.setdefault("size", height)
    return Given(_take("network", (nn.Module, Network), network_in_memory, settings), generator)


def _take(what: str, kinds: tuple[type, ...], build: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """The model in memory of that name; None of one that is given by its name or its settings."""
    model, words = settings.get(what), list(inspect.signature(build).parameters)[1:]
    own = {word: settings.pop(word) for word in words if word in settings and not isinstance(settings[word], Mapping)}
    if own and not isinstance(model, nn.Module):
        word, value = next(iter(own.items()))
        raise ConfigError(f"{word}={value}: this is for a torch module as {what}; leave it out.")
    if isinstance(model, kinds):
        built = build(model, **own)
        kind = type(built.module)
        options = {"module": f"{kind.__module__}.{kind.__qualname__}", **own}
        settings[what] = {"kind": IN_MEMORY, "options": options}
        return built
    if not isinstance(model, str | Mapping | None):
        raise ConfigError(
            f"{what} is a {type(model).__name__}: give a name, a dict of settings, a torch module (the object, not its "
            f"class), or an invset.{kinds[-1].__name__}."
        )
    return None


def _settings(kind: type, given: Mapping[str, Any], **targets: Any) -> Any:
    values = {("folder" if name == "images" else name): _plain(value) for name, value in {**given, **targets}.items()}
    groups = {entry.name: entry.default_factory for entry in fields(kind) if is_dataclass(entry.default_factory)}
    for name, value in values.items():
        if name in groups and isinstance(value, str):
            values[name] = _choose(groups[name], value)
    settings = from_dict(kind, values)
    check(settings)
    return settings


def _choose(group: Any, name: str) -> dict[str, Any]:
    """What a name stands for where a group of settings is given by one, as network="caffenet"."""
    if group is EncoderSettings:
        return {"network": name} if name in ("auto", "same", "own", "none") else {"network": "same", "layer": name}
    first = fields(group)[0].name
    if first not in ("kind", "name"):
        raise ConfigError(f"{name}: give these settings as a dict, as schedule={{'K': 20}}.")
    return {first: name}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if hasattr(value, "tolist"):  # numpy's and torch's numbers
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
