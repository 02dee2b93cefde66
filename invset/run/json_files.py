"""A run's files: written so that a kill cannot leave them half done; read as what anyone may have put there.

Folders of runs are passed on: a RunFolderError of one line says whatever is wrong in one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from invset import files
from invset.errors import RunFolderError

_ON = "; what was written before stays: resume the run"
_ANEW = ", or start a new run in another folder"
LONGEST = 2**20  # bytes of a text; a run's own have some thousands
LARGEST = 2**33  # bytes of any file: 10,000 codes of 200,000 entries
DEEPEST = 50  # levels of lists in lists
YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's takes a thirtieth of the time
TEXTS = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # all values as texts

# What is read of these files must be of these types, where it is there; a list's entries of its first one's.
KINDS: dict[str, dict[str, Any]] = {
    "summary.json": {
        "status": str, "samples": int, "wanted": int, "n": int, "until": str, "plateau": bool,
        "passes": {"forward": int, "backward": int}, "closest": {"activations": [float]},
        "mean_pairwise_distance": float,
    },
    "manifest.json": {
        "invset": str, "overrides": [str], "units": [str], "hardly_known": [str], "device": str, "threads": int,
        "packages": {"torch": str}, "weights": [{"file": str, "sha256": str}],
    },
}  # fmt: skip


def writing(path: Path) -> AbstractContextManager[None]:
    """Turn an OSError of the block into a RunFolderError that names the file, the cause and the way on."""
    return files.describing(RunFolderError, path, _ON)


def write_atomically(path: Path, data: bytes, flushed: bool = False) -> None:
    """Put `data` at `path`: the old file or the new one is there at every moment, never half of one.

    `flushed`: after a power cut too.

    Raises:
        RunFolderError: it cannot be written; the old file stays.
    """
    with writing(path):
        files.write_atomically(path, data, flushed)


def flush(folder: Path, paths: Iterable[Path]) -> None:
    """Force files and folders of a run to the disk. Raises RunFolderError: the disk failed."""
    with writing(folder):
        files.flush(paths)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON, to stay after a power cut; NaN becomes null, infinities the strings "inf", "-inf".

    Raises:
        RunFolderError: it cannot be written.
    """
    text = json.dumps(_without_nonfinite(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode(), flushed=True)


@contextmanager
def reading(path: Path, most: int = LARGEST) -> Iterator[BinaryIO]:
    """A file of a run, open; whatever an OSError or a reader's complaint in the block is becomes a RunFolderError."""
    try:
        with (
            files.describing(RunFolderError, path, _ANEW, action="read"),
            files.read_regular(path, most) as file,
        ):
            yield file
    except RunFolderError:
        raise
    except Exception as error:  # of a damaged file, libraries raise nearly any
        raise damaged(path, error if isinstance(error, ValueError) else repr(error)) from error


def damaged(path: Path, what: object) -> RunFolderError:
    """The error of a file that is not as a run writes it, and why."""
    why = " ".join(f"{what}".split())[:200]
    return RunFolderError(f"{path}: damaged: {why}. Put the file back as the run left it{_ANEW}.")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run folder.

    Raises:
        RunFolderError: the file is missing, unreadable or no JSON object, or an entry is of another type.
    """
    with reading(path, LONGEST) as file:
        values = json.loads(file.read(), parse_int=_whole)
        if not isinstance(values, dict):
            raise ValueError("it holds no JSON object")
        for name, kind in KINDS.get(path.name, {}).items():
            if values.get(name) is not None and not _is_of(values[name], kind):
                raise ValueError(f"{name} is not as a run writes it")
    return values


def read_yaml(path: Path, loader: type = YAML) -> Any:
    """The plain values in a YAML file, without anchors and aliases, which can make a short text endless.

    Raises:
        RunFolderError: the file is missing, unreadable, nested deeply or no YAML.
    """
    with reading(path, LONGEST) as file:
        text, depth = file.read().decode(), 0
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or getattr(event, "anchor", None) is not None:
                raise ValueError("an anchor, or too many levels")
        return yaml.load(text, Loader=loader)


def _whole(text: str) -> int:
    if len(text) > 18:
        raise ValueError("a number of too many digits")
    return int(text)


def _is_of(value: Any, kind: Any) -> bool:
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(_is_of(value.get(name), inner) for name, inner in kind.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is_of(entry, kind[0]) for entry in value)
    return isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool))


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _without_nonfinite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(entry) for entry in value]
    return value
