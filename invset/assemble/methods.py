"""From a method's name and settings to the method: the paper's own, and those it is compared with.

To add one: its class, with `Abilities` and its settings, in a file of its own; here its builder and a line of METHODS;
a config of its name in configs/method, whose first line is its line of help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from invset.baselines.mfv import Mfv
from invset.baselines.penalty import Penalty
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.baselines.ppgn import Ppgn, Softmax
from invset.baselines.search import Search
from invset.core.chains import Draw
from invset.core.full import Full
from invset.core.method import Abilities, Method
from invset.core.multistart import FIRST_CARRY, FIRST_CARRY_NEAR, Multistart
from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.errors import ConfigError
from invset.models.image_folder import ImageFolder
from invset.models.network import Generator
from invset.models.pixels import Pixels
from invset.models.reader import Reader
from invset.names import hint
from invset.settings import SampleSettings, options


@dataclass(frozen=True)
class Parts:
    """What methods are made of.

    `own` are the method's own settings, `starts` the kind that chains start from. `problem_of` makes a problem with
    another reader of images than the run's own.
    """

    settings: SampleSettings
    own: Any
    generator: Generator
    reader: Reader
    problem: Problem
    problem_of: Callable[[Callable[[Tensor], tuple[Tensor, Tensor]]], Problem]
    region: Region
    schedule: Schedule
    starts: str
    draw: Draw
    references: Tensor

    @property
    def common(self) -> dict[str, int]:
        """Of every baseline."""
        return {"chains": self.schedule.chains, "random_seed": self.settings.seed}


def method_class(name: str) -> type[Abilities]:
    """The class of a method. Raises ConfigError: there is none of that name."""
    if name not in METHODS:
        raise ConfigError(f"method={name}: {hint(name, METHODS)}")
    return METHODS[name][0]


def own_settings(settings: SampleSettings) -> Any:
    """The method's own settings, None if it has none.

    Raises:
        ConfigError: there is no such setting, or it does not take that value.
    """
    kind, name = method_class(settings.method.name).Settings, settings.method.name
    if kind is None and settings.method.options:
        option = next(iter(settings.method.options))
        raise ConfigError(f"method.options.{option}: method {name} has no settings of its own.")
    return None if kind is None else options(kind, settings.method.options, f"method {name}")


def settle(settings: SampleSettings) -> SampleSettings:
    """The settings with all of the method's own written out, as a run's config has them."""
    own = own_settings(settings)
    return replace(settings, method=replace(settings.method, options={} if own is None else asdict(own)))


def build_method(parts: Parts) -> tuple[Method, Problem]:
    """The method that the settings name, and the problem whose passes are its own.

    Raises:
        ConfigError: it does not fit the models.
    """
    kind, build = METHODS[parts.settings.method.name]
    if kind.pixels and not isinstance(parts.generator.module, Pixels):
        name = parts.settings.method.name
        raise ConfigError(f"method={name} works on images as they are: add generator=pixels.")
    built = build(parts)
    return built if isinstance(built, tuple) else (built, parts.problem)


def _multistart(parts: Parts) -> Method:
    near, settings = parts.starts == "near", parts.settings
    even = settings.fill == "uniform"
    if settings.fill == "auto":  # corners of several ranges are much farther from natural codes than their middles
        even = near and settings.constraint == "range" and len(parts.region.lower) == 1
    carry = FIRST_CARRY_NEAR if near else FIRST_CARRY
    return Multistart(parts.problem, parts.region, parts.schedule, parts.draw, parts.references, even, carry)


def _descent(parts: Parts) -> Method:
    kind: Any = method_class(parts.settings.method.name)
    method: Method = kind(parts.problem, parts.region, parts.schedule, parts.draw, parts.references)
    return method


def _ppgn(parts: Parts) -> tuple[Method, Problem]:
    """Reads each unit's whole layer too, in the same pass, at the unit's position."""
    between = parts.settings.objective.between
    if parts.own.epsilon1 and between not in ("encodings", "none"):
        raise ConfigError(f"method=ppgn with objective.between={between}: it needs E(G(h)); use encodings or none.")
    reader, network = parts.reader, parts.reader.network
    units, first, softmaxes = reader.units, len(reader.units), []
    for unit in units:
        if unit.position in ("max", "mean"):
            raise ConfigError(f"method=ppgn takes a softmax over the units at one position, and {unit} is at none.")
        size = network.units(unit.layer)
        softmaxes.append(Softmax(first, size, unit.index, network.logit_scales.get(unit.layer, 1.0)))
        first += size

    def wide(images: Tensor) -> tuple[Tensor, Tensor]:
        encodings, activations, outputs = reader.read(images)
        return encodings, torch.cat([activations, *(unit.at(outputs[unit.layer]) for unit in units)], dim=1)

    problem = parts.problem_of(wide)
    method = Ppgn(problem, parts.region, parts.draw, parts.references, parts.own, softmaxes, **parts.common)
    return method, problem


def _dgn_am(parts: Parts) -> DgnAm:
    real, device = parts.generator.statistics, parts.references.device
    statistics = None if real is None else (real.mean.to(device), real.deviation.to(device))
    return DgnAm(parts.problem, parts.region, parts.draw, parts.references, parts.own, statistics, **parts.common)


def _pixel_ascent(parts: Parts) -> PixelAscent:
    shape = parts.generator.image_shape
    return PixelAscent(parts.problem, parts.region, parts.draw, parts.references, parts.own, shape, **parts.common)


def _mfv(parts: Parts) -> Method:
    def ascent(draw: Draw) -> Method:
        if isinstance(parts.generator.module, Pixels):
            return _pixel_ascent(replace(parts, draw=draw, own=PixelAscentSettings()))
        return _dgn_am(replace(parts, draw=draw, own=DgnAmSettings(starts="given")))

    return Mfv(parts.problem, parts.region, _natural_codes(parts), parts.own, ascent, **parts.common)


def _natural_codes(parts: Parts) -> Tensor:
    """Of the folder's images, if one is given, or the generator's bank."""
    if parts.settings.folder is not None and parts.starts == "codes":
        count = len(ImageFolder(parts.settings.folder, (1, 1)).files)
        return torch.stack([parts.draw(number, 0) for number in range(count)])
    statistics = parts.generator.statistics
    if parts.settings.folder is not None or statistics is None or not len(statistics.bank):
        raise ConfigError("method=mfv starts from real images: give starts=codes folder=DIR (in Python images=DIR).")
    return statistics.bank.to(parts.references.device)


def _rounds(parts: Parts) -> Method:
    kind: Any = method_class(parts.settings.method.name)
    method: Method = kind(parts.problem, parts.region, parts.draw, parts.references, parts.own, **parts.common)
    return method


def _search(parts: Parts) -> Method:
    if parts.settings.folder is None:
        raise ConfigError("method=search looks through the images of a folder: give folder=DIR (in Python images=DIR).")
    folder = ImageFolder(parts.settings.folder, parts.generator.image_shape[1:])

    def look(number: int) -> Tensor | None:
        image = folder.read(folder.files[number])
        return None if image is None else image.flatten().to(parts.references.device)

    count, chains = len(folder.files), parts.schedule.chains
    return Search(parts.problem, parts.region, look, count, parts.references, chains=chains)


METHODS: Mapping[str, tuple[type[Abilities], Callable[[Parts], Method | tuple[Method, Problem]]]] = {
    "multistart": (Multistart, _multistart),
    "paper": (Paper, _descent),
    "full": (Full, _descent),
    "ppgn": (Ppgn, _ppgn),
    "dgn_am": (DgnAm, _dgn_am),
    "mfv": (Mfv, _mfv),
    "penalty": (Penalty, _rounds),
    "pixel_ascent": (PixelAscent, _pixel_ascent),
    "search": (Search, _search),
}
