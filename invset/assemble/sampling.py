"""From settings to what a run needs: targets, models, problem and method; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invset.assemble import reach
from invset.assemble.methods import Parts, build_method, method_class, own_settings
from invset.assemble.models import FROM_IMAGES, NONE_GIVEN, Given, Models, build_models
from invset.assemble.reach import Choice
from invset.assemble.repeatable import CODES, require_repeatable
from invset.core.method import Abilities, Method, Renewing
from invset.core.multistart import Multistart
from invset.core.near import Near, NearStarts, count_looks, find_near
from invset.core.problem import Counts, Passes, Pipeline, Problem
from invset.core.region import Region
from invset.core.scales import measure, typical_distance
from invset.core.seeding import Schedule
from invset.errors import ConfigError
from invset.metrics.saturation import LEAST
from invset.models.network import Generator, count_operations
from invset.models.reader import Reader
from invset.models.registry import Find
from invset.models.starts import Starts
from invset.passes.fused import Fused
from invset.passes.micro_batches import Batches, MicroBatches, describing_memory
from invset.passes.plain import Plain
from invset.passes.ranks import Ranks
from invset.passes.shared import Shared
from invset.settings import SampleSettings, check, check_method, is_number, is_pair
from invset.weights.fetch import fetch

REFERENCES = 64  # unrelated codes on which distances are measured
MICRO_BATCH, LARGE_MICRO_BATCH = 64, 1024  # of a method that optimises all n codes together: on a CPU, on a GPU


class Targets(NamedTuple):
    """Units as texts, and a range for each; none where they are to be found."""

    neurons: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Sampling:
    """All that a run needs.

    Attributes:
        targets: units and ranges as asked for.
        title: units with their labels and ranges, for people.
        models: network, generator, units and encoders.
        reader: images to encodings and activations.
        region: the ranges.
        problem: whose passes are counted.
        method: what is stepped.
        kind: the method's class, which says what it can do.
        batches: what is halved when memory runs out.
        fused: the networks made quicker, if that was asked for.
        references: unrelated codes (m, c).
        chains: of all groups together.
        unused: names of settings that were given and that the method passes over.
        objective: what distances are between, as `objective.between` has it.
        eight_bit: whether images are rounded to what a PNG can hold.
        before: passes made to find ranges and starts near them.
        found: a line on ranges that were found; '' of those that were given.
        unknown: lines on classes that are hardly known: natural codes that give most of them are of others.
        even: whether the ranges are to be filled evenly.
    """

    targets: Targets
    title: str
    models: Models
    reader: Reader
    region: Region
    problem: Problem
    method: Method
    kind: type[Abilities]
    batches: Batches
    fused: Fused | None
    references: Tensor
    chains: int
    unused: tuple[str, ...]
    objective: str
    eight_bit: bool
    before: Counts
    found: str
    unknown: tuple[str, ...]
    even: bool

    def settle(self, settings: SampleSettings) -> SampleSettings:
        """The settings with what `auto` became, for config.yaml: so that resuming does not depend on it."""
        ranges: list[Any] = [list(one) for one in self.targets.ranges]
        found = (ranges[0] if len(ranges) == 1 else ranges) if self.found else settings.range
        return replace(settings, encoder=self.models.settled, starts=self.models.starts, range=found)

    def unrelated_distance(self, state: Any) -> float:
        """The median distance between encodings of unrelated codes, whatever the objective compares."""
        if self.objective in ("encodings", "none"):
            return float(state.distances.encodings)
        plain = Pipeline(self.models.generator, self.reader, eight_bit=self.eight_bit)
        return measure(Problem(MicroBatches(Plain(plain))), self.references).encodings


def describe_target(units: Iterable[str], ranges: Iterable[tuple[float, float]], constraint: str) -> str:
    """Units and their ranges: `fc8:981 volcano in [50, 60]`, or `fc8:981 volcano >= 50` where only that is asked."""
    both = constraint == "range"
    return " and ".join(
        f"{unit} in [{low:g}, {high:g}]" if both else f"{unit} >= {low:g}"
        for unit, (low, high) in zip(units, ranges, strict=True)
    )


def check_targets(settings: SampleSettings) -> Targets:
    """The units and ranges asked for, all settings checked as far as no model is needed.

    Raises:
        ConfigError: the first setting that is wrong.
    """
    check(settings)
    neurons = parse_neurons(settings.neuron)
    return Targets(neurons, parse_ranges(settings.range, len(neurons)))


def assemble(
    settings: SampleSettings, find: Find = fetch, ranks: Ranks | None = None, given: Given = NONE_GIVEN
) -> Sampling:
    """Models, problem and method; `ranks`: processes to share the work; `given`: models that are there already.

    Raises:
        ConfigError: a setting is wrong, or settings do not fit each other or the models.
        WeightsError: a file of weights cannot be used.
    """
    targets = check_targets(settings)
    kind = method_class(settings.method.name)
    unused = check_fit(settings, kind)
    own = own_settings(settings)
    models = build_models(settings, targets.neurons, find, given)
    reader = Reader(models.network, models.units, models.encoder)
    schedule = _schedule(settings, kind)
    chains = schedule.chains * schedule.groups
    bounds = code_bounds(settings.code.bounds, models.generator)
    starts = Starts(
        models.starts,  # type: ignore[arg-type]
        settings.seed,
        chains,
        models.generator,
        models.inverse,
        settings.folder,
    )
    references = starts.reference_codes(REFERENCES).to(models.device)
    require_repeatable(models, references[:CODES], settings.precision)
    natural = starts.natural_codes() if models.starts == "near" else None
    eight_bit = settings.pixels == "eight_bit"
    reading, _ = reach.build_reading(models.generator, Reader(models.network, models.units), bounds, eight_bit)
    found = ""
    if not targets.ranges:
        ranges, found = _choose_ranges(models, reading, starts, natural, references, settings.seed)
        targets = targets._replace(ranges=ranges)
    region_of = Region.two_sided if settings.constraint == "range" else Region.lower_only
    region = region_of(targets.ranges).to(models.device)
    problems = _Problems(settings, models, bounds, kind, chains, ranks)
    problem = problems.of(reader)
    first: Callable[[int, int], Tensor] = starts.draw
    unknown: list[str] = []
    if natural is not None:
        near = _find_near(models, reading, region, natural, settings.seed)
        if settings.network.weights != "random":
            unknown = reach.describe_unknown(models, near.highest)
        first = NearStarts(near.codes, settings.seed, chains).draw

    def draw(chain: int, attempt: int) -> Tensor:
        return problem.bound(first(chain, attempt).to(models.device))

    parts = Parts(
        settings, own, models.generator, reader, problem, problems.of, region, schedule, models.starts, draw, references
    )
    method, problem = build_method(parts)
    title = describe_target((unit.describe() for unit in models.units), targets.ranges, settings.constraint)
    return Sampling(
        targets, title, models, reader, region, problem, Renewing(method), kind, problems.batches, problems.fused,
        references, chains, tuple(unused), settings.objective.between, eight_bit, reading.passes.counts, found,
        tuple(unknown), isinstance(method, Multistart) and method.even,
    )  # fmt: skip


class _Problems:
    """Makes problems that differ in what they read of images; `batches` and `fused` are those of the last one."""

    def __init__(
        self,
        settings: SampleSettings,
        models: Models,
        bounds: tuple[float, float] | None,
        kind: type[Abilities],
        chains: int,
        ranks: Ranks | None,
    ) -> None:
        self.settings = settings
        self.models = models
        self.bounds = bounds
        self.size = choose_batch_size(settings.batch_size, kind, models.device)
        self.mine = chains if ranks is None else len(ranks.rows(torch.arange(chains)))
        self.ranks = ranks
        self.batches: Batches
        self.fused: Fused | None = None

    def of(self, read: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Problem:
        """The problem of these images' encodings and activations."""
        settings = self.settings
        pipeline = Pipeline(
            self.models.generator,
            read,
            objective=settings.objective.between,  # type: ignore[arg-type]
            eight_bit=settings.pixels == "eight_bit",
        )
        if settings.compile is not None:
            self.fused = Fused(pipeline, settings.compile, min(self.mine, self.size or self.mine))  # type: ignore[arg-type]
        parts = MicroBatches(Plain(pipeline, self.fused), self.size)
        self.batches = parts.batches
        passes: Passes = parts if self.ranks is None else Shared(parts, self.ranks)
        return Problem(passes, self.bounds)


def _schedule(settings: SampleSettings, kind: type[Abilities]) -> Schedule:
    given, scale = settings.schedule, settings.objective.scale
    return Schedule(
        chains=settings.n if kind.joint else given.K,
        groups=given.groups,
        penalty=given.mu,
        growth=given.alpha,
        inner_steps=given.inner_steps,
        outer_iterations=given.outer_iterations,
        stop=given.stop,  # type: ignore[arg-type]
        objective_scale=None if scale == "auto" else float(scale),
    )


def _find_near(models: Models, reading: Problem, region: Region, natural: Tensor, random_seed: int) -> Near:
    """Natural codes near the ranges; how many are looked at depends on what a pass costs."""
    modules = (models.generator.module, models.network.module)
    operations = count_operations(modules, lambda: reading.evaluate(natural[:1].to(models.device)))
    return find_near(reading, region, natural, count_looks(len(natural), operations), random_seed)


def _choose_ranges(
    models: Models, reading: Problem, starts: Starts, natural: Tensor | None, references: Tensor, random_seed: int
) -> Choice:
    """Ranges for units, found from natural codes, or where chains start if none are known."""
    statistics = models.generator.statistics
    if natural is None and statistics is not None and len(statistics.bank):
        natural = statistics.bank
    codes, kind = natural, "natural codes"
    if codes is None:
        numbers = range(reach.LOOKS)
        codes = torch.stack([starts.draw(number % starts.chains, number // starts.chains) for number in numbers])
        kind = "codes"
    with describing_memory("give a range, or try device=cpu"):
        distance = typical_distance(references)
        return reach.choose_ranges(reading, codes.to(models.device), kind, models.units, distance, random_seed)


def code_bounds(bounds: Any, generator: Generator) -> tuple[float, float] | None:
    """The bounds on codes that are asked for: auto, None or a pair."""
    if bounds == "auto":
        return generator.code_bounds
    return None if bounds is None else (float(bounds[0]), float(bounds[1]))


def parse_neurons(neuron: Any) -> tuple[str, ...]:
    """One unit or a list of them, as texts. Raises ConfigError."""
    if neuron is None:
        raise ConfigError("neuron=null: give layer:unit, as neuron=fc8:981; invset units lists layers and units.")
    neurons = list(neuron) if isinstance(neuron, list | tuple) else [neuron]
    if not neurons or not all(isinstance(text, str) and text for text in neurons):
        raise ConfigError(f"neuron={neuron}: give layer:unit, as fc8:981, or a list, as '[conv5:97,fc8:862]'.")
    if len(set(neurons)) < len(neurons):
        raise ConfigError(f"neuron={neuron}: the same unit twice; give each once.")
    return tuple(neurons)


def parse_ranges(value: Any, count: int) -> tuple[tuple[float, float], ...]:
    """One range or a list of them, as many as there are units; none of `auto`. Raises ConfigError."""
    if value == "auto":
        return ()
    if count > 1 and isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value)):
        raise ConfigError(
            f"range={value} is one range, and there are {count} neurons: each needs one of its own, in their order, as "
            "'range=[[5,9],[40,50]]'; or leave it out."
        )
    ranges = [value] if count == 1 and not _is_nested(value) else value
    wanted = "two finite numbers in order, as '[50,60]'" if count == 1 else f"{count} ranges, as '[[5,9],[40,50]]'"
    wanted += ", or auto"
    if not _is_nested(ranges) or len(ranges) != count or not all(map(is_pair, ranges)):
        raise ConfigError(f"range={value}: give {wanted}.")
    return tuple((float(low), float(high)) for low, high in ranges)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, list | tuple) for one in value)


def check_fit(settings: SampleSettings, kind: type[Abilities]) -> list[str]:
    """Refuse settings that do not fit each other; returns the names of those that the method passes over."""
    unused = check_method(settings, kind)
    name, schedule = settings.method.name, settings.schedule
    if kind.seeds and not kind.joint and settings.n < schedule.K:
        raise ConfigError(
            f"n={settings.n} is less than schedule.K={schedule.K}: the K seeds are the first samples; "
            f"give n={schedule.K} or more, or a smaller schedule.K."
        )
    if settings.range == "auto" and kind.reads_folder:
        raise ConfigError(f"range=auto: method={name} takes images as they are; give a range.")
    if settings.fill == "uniform" and settings.constraint != "range":
        raise ConfigError(f"fill=uniform: with constraint={settings.constraint} the range has no upper end to fill to.")
    if settings.until == "plateau" and settings.n < LEAST:
        raise ConfigError(
            f"n={settings.n}: a plateau can be told from {LEAST} samples on, and n is the most; give n={LEAST} or more."
        )
    images = settings.starts in FROM_IMAGES or (settings.starts == "auto" and kind.starts in FROM_IMAGES)
    if settings.folder is not None and not (images or kind.reads_folder):
        auto = f"; starts=auto is neither with method={name}" if settings.starts == "auto" else ""
        raise ConfigError(
            f"{settings.folder}: images are only used with starts=near, codes or mixed{auto}: add one of them, or "
            "leave them out."
        )
    return unused


def choose_batch_size(asked: int | str | None, kind: type[Abilities], device: torch.device) -> int | None:
    """Codes that go through the networks at once; None: all there are, which is halved whenever memory runs out.

    Only eq. 16 has more than a GPU can hold; there it begins with many more than a CPU has a use for.
    """
    if isinstance(asked, int):
        return asked
    if not kind.joint:
        return None
    return LARGE_MICRO_BATCH if device.type == "cuda" else MICRO_BATCH
