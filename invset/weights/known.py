"""Which files of weights are known: where they are, how they are recognised, and on which terms."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from invset.errors import ConfigError, WeightsError
from invset.files import user_path
from invset.names import hint

PREFIX = "sha256-prefix"  # the first digits of a SHA-256, as torchvision puts them into file names
_TORCHVISION = "https://download.pytorch.org/models/"
_HASHED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*-(?P<prefix>[0-9a-f]{8,64})\.pth")


@dataclass(frozen=True)
class Source:
    """An address; `member` is the file inside the .zip or .tar.gz there: its path, or the end of its path."""

    url: str
    member: str | None = None


@dataclass(frozen=True)
class Weights:
    """A file of weights: `size` in bytes and `checksums` (algorithm to lower-case hex) as far as published.

    Sources are tried in order. `terms` of use, in short up to the first semicolon.
    """

    name: str
    file: str
    size: int | None
    checksums: Mapping[str, str]
    sources: tuple[Source, ...]
    terms: str
    about: str


class SourceError(WeightsError):
    """A source did not give the right file; the next may."""


def find(name: str) -> Weights:
    """The weights of that name; also torchvision's, by their file name as `alexnet-owt-7be5be79.pth`.

    Raises:
        ConfigError: there are none; says the names near it.
    """
    wanted = name.strip().lower().replace("_", "-")
    if wanted in KNOWN:
        return KNOWN[wanted]
    if _HASHED_NAME.fullmatch(name):
        return torchvision_weights(_TORCHVISION + name)
    raise ConfigError(f"no weights are called '{name}': {hint(name, KNOWN)}")


def file_of(given: str | Path | None, default: str, place: Callable[[Weights], Path]) -> Path:
    """The file that a user gives, by path or by the name of known weights; None: the default known weights.

    Args:
        given: a path, or else a name, spelled as `find` allows; what has a folder or a suffix is a path.
        default: a name in KNOWN.
        place: where the file of known weights is; may fetch it.

    Raises:
        ConfigError: there is neither such a file nor such a name; says the names near it.
    """
    if given is None:
        return place(KNOWN[default])
    path = user_path(given)
    if path.is_file() or path.suffix or path.name != str(given).strip():
        return path
    try:
        return place(find(str(given)))
    except ConfigError as error:
        raise ConfigError(f"there is no file '{given}', and {error}") from error


def torchvision_weights(url: str) -> Weights:
    """Weights behind an address of torchvision, whose file name ends in `-`, 8 digits or more of its SHA-256, `.pth`.

    Source: pytorch/vision:torchvision/models (addresses), pytorch/vision:README.md (terms).
    """
    file = PurePosixPath(urlsplit(url).path).name
    found = _HASHED_NAME.fullmatch(file)
    checksums = {PREFIX: found["prefix"]} if found else {}
    terms = "torchvision's; the weights may have terms of their own, from the images they were trained on"
    if "swag" in file:
        terms = "CC-BY-NC 4.0 (SWAG); no commercial use"
    return Weights(file, file, None, checksums, (Source(url),), terms, "torchvision")


def _read() -> dict[str, Weights]:
    text = resources.files("invset").joinpath("data", "weights.toml").read_text(encoding="utf-8")
    known = {}
    for name, entry in tomllib.loads(text).items():
        sources = tuple(Source(**source) for source in entry["sources"])
        size, checksums = entry.get("size"), entry.get("checksums", {})
        known[name] = Weights(name, entry["file"], size, checksums, sources, entry["terms"], entry["about"])
    return known


KNOWN: Mapping[str, Weights] = _read()
"""Name to weights, from invset/data/weights.toml."""
