"""From a method's name and settings to the method: the paper's own, and those it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor

from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from invset.baselines.mfv import Mfv, MfvSettings
from invset.baselines.penalty import Penalty, PenaltySettings
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.ppgn import Ppgn, PpgnSettings, Softmax
from invset.baselines.search import Search
from invset.cli.schema import SampleConfig
from invset.core.full import Full
from invset.core.groups import Groups, Stepped
from invset.core.multistart import Multistart
from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Draw, Schedule
from invset.core.state import Method
from invset.errors import ConfigError
from invset.models.folder import ImageFolder
from invset.models.network import Generator
from invset.models.pixels import Pixels
from invset.models.reader import Reader
from invset.models.starts import Starts

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Parts:
    """What methods are made of. `problem_of` makes a problem with another reader of images than the run's own."""

    config: SampleConfig
    generator: Generator
    reader: Reader
    problem: Problem
    problem_of: Callable[[Callable[[Tensor], tuple[Tensor, Tensor]]], Problem]
    region: Region
    schedule: Schedule
    starts: Starts
    draw: Draw
    references: Tensor

    @property
    def common(self) -> dict[str, int | None]:
        """Of every baseline."""
        return {
            "chains": self.schedule.chains,
            "random_seed": self.config.seed,
            "batch_size": self.schedule.batch_size,
        }

    def settings(self, kind: type[Settings]) -> Settings:
        """The method's own settings. Raises ConfigError if there is no such setting, or it is of another type."""
        name, given = self.config.method.name, self.config.method.options
        known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
        for option, value in given.items():
            if option not in known:
                raise ConfigError(f"method.options.{option}: method {name} has {', '.join(known) or 'no settings'}.")
            if value is not None and not _fits(value, str(known[option].type)):
                raise ConfigError(f"method.options.{option}={value}: it should be {known[option].type}.")
        return kind(**given)


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value from a config is of a type as dataclasses write it, as far as numbers and switches go."""
    if isinstance(value, bool) or annotation == "bool":
        return isinstance(value, bool) and annotation == "bool"
    if annotation.startswith("int"):
        return isinstance(value, int)
    return not annotation.startswith("float") or isinstance(value, int | float)


def build_method(parts: Parts) -> tuple[Method, Problem]:
    """The method that the config names, and the problem whose passes are its own.

    Raises:
        ConfigError: it does not fit the models, or its settings make no sense.
    """
    name, options = parts.config.method.name, parts.config.method.options
    if options and name in ("multistart", "paper", "full", "search"):
        raise ConfigError(f"method.options.{next(iter(options))}: method {name} has no settings of its own.")
    return METHODS[name](parts)


def _multistart(parts: Parts) -> tuple[Method, Problem]:
    even = parts.config.fill == "uniform"

    def group(draw: Draw) -> Stepped:
        return Multistart(parts.problem, parts.region, parts.schedule, draw, parts.references, even)

    return _grouped(parts, group), parts.problem


def _paper(parts: Parts) -> tuple[Method, Problem]:
    def group(draw: Draw) -> Stepped:
        return Paper(parts.problem, parts.region, parts.schedule, draw, parts.references)

    return _grouped(parts, group), parts.problem


def _grouped(parts: Parts, group: Callable[[Draw], Stepped]) -> Method:
    """As many groups as the config asks for, each with starts of its own; the first one's are those of a single one."""
    schedule, count = parts.schedule, parts.config.schedule.groups
    if count == 1:
        return group(parts.draw)

    def draw_of(number: int) -> Draw:
        return lambda chain, attempt: parts.draw(number * schedule.chains + chain, attempt)

    return Groups(parts.problem, [group(draw_of(number)) for number in range(count)], schedule.batch_size)


def _full(parts: Parts) -> tuple[Method, Problem]:
    return Full(parts.problem, parts.region, parts.schedule, parts.draw, parts.references), parts.problem


def _ppgn(parts: Parts) -> tuple[Method, Problem]:
    """Reads each unit's whole layer too, in the same pass, at the unit's position."""
    reader = parts.reader
    units, first, softmaxes = reader.units, len(reader.units), []
    for unit in units:
        if unit.position in ("max", "mean"):
            raise ConfigError(f"method=ppgn takes a softmax over the units at one position, and {unit} is at none.")
        size = reader.network.units(unit.layer)
        softmaxes.append(Softmax(first, size, unit.index))
        first += size

    def wide(images: Tensor) -> tuple[Tensor, Tensor]:
        encodings, activations, outputs = reader.read(images)
        return encodings, torch.cat([activations, *(unit.at(outputs[unit.layer]) for unit in units)], dim=1)

    problem = parts.problem_of(wide)
    settings = parts.settings(PpgnSettings)
    method = Ppgn(problem, parts.region, parts.draw, parts.references, settings, softmaxes, **parts.common)  # type: ignore[arg-type]
    return method, problem


def _dgn_am(parts: Parts) -> tuple[Method, Problem]:
    return _dgn_am_from(parts, parts.draw, parts.settings(DgnAmSettings)), parts.problem


def _dgn_am_from(parts: Parts, draw: Draw, settings: DgnAmSettings) -> DgnAm:
    real, device = parts.generator.statistics, parts.references.device
    statistics = None if real is None else (real.mean.to(device), real.deviation.to(device))
    return DgnAm(parts.problem, parts.region, draw, parts.references, settings, statistics, **parts.common)  # type: ignore[arg-type]


def _pixel_ascent(parts: Parts) -> tuple[Method, Problem]:
    _require_pixels(parts)
    return _pixel_ascent_from(parts, parts.draw, parts.settings(PixelAscentSettings)), parts.problem


def _pixel_ascent_from(parts: Parts, draw: Draw, settings: PixelAscentSettings) -> PixelAscent:
    shape = parts.generator.image_shape
    return PixelAscent(parts.problem, parts.region, draw, parts.references, settings, shape, **parts.common)  # type: ignore[arg-type]


def _mfv(parts: Parts) -> tuple[Method, Problem]:
    settings = parts.settings(MfvSettings)

    def ascent(draw: Draw) -> Method:
        if isinstance(parts.generator.module, Pixels):
            return _pixel_ascent_from(parts, draw, PixelAscentSettings())
        return _dgn_am_from(parts, draw, DgnAmSettings(starts="given"))

    real = _real_codes(parts)
    return Mfv(parts.problem, parts.region, real, settings, ascent, **parts.common), parts.problem  # type: ignore[arg-type]


def _real_codes(parts: Parts) -> Tensor:
    """Of the folder's images, if one is given, or the generator's bank."""
    if parts.config.folder is not None:
        count = len(ImageFolder(parts.config.folder, (1, 1)).files)
        return torch.stack([parts.draw(number, 0) for number in range(count)])
    statistics = parts.generator.statistics
    if statistics is None or not len(statistics.bank):
        raise ConfigError("method=mfv starts from real images: give folder=DIR with starts=codes.")
    return statistics.bank.to(parts.references.device)


def _penalty(parts: Parts) -> tuple[Method, Problem]:
    settings = parts.settings(PenaltySettings)
    method = Penalty(parts.problem, parts.region, parts.draw, parts.references, settings, **parts.common)  # type: ignore[arg-type]
    return method, parts.problem


def _search(parts: Parts) -> tuple[Method, Problem]:
    _require_pixels(parts)
    if parts.config.folder is None:
        raise ConfigError("method=search looks through the images of a folder: give folder=DIR.")
    folder = ImageFolder(parts.config.folder, parts.generator.image_shape[1:])

    def look(number: int) -> Tensor | None:
        image = folder.read(folder.files[number])
        return None if image is None else image.flatten().to(parts.references.device)

    count, chains = len(folder.files), parts.schedule.chains
    return Search(parts.problem, parts.region, look, count, parts.references, chains=chains), parts.problem


def _require_pixels(parts: Parts) -> None:
    if not isinstance(parts.generator.module, Pixels):
        name = parts.config.method.name
        raise ConfigError(f"method={name} works on images as they are: add generator=pixels.")


METHODS: Mapping[str, Callable[[Parts], tuple[Method, Problem]]] = {
    "multistart": _multistart,
    "paper": _paper,
    "full": _full,
    "ppgn": _ppgn,
    "dgn_am": _dgn_am,
    "mfv": _mfv,
    "penalty": _penalty,
    "pixel_ascent": _pixel_ascent,
    "search": _search,
}
