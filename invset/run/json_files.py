"""A run's files: written so that a kill cannot leave them half done, with errors of the disk in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from invset import files
from invset.errors import RunFolderError

_ON = "; what was written before stays: resume the run"
_ANEW = ", or start a new run in another folder"


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


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run folder.

    Raises:
        RunFolderError: the file is missing, unreadable or no JSON object.
    """
    with files.describing(RunFolderError, path, _ANEW, action="read"):
        data = path.read_bytes()
    try:
        values = json.loads(data)
    except ValueError as error:
        raise RunFolderError(f"{path}: not JSON ({error}). Mend the file{_ANEW}.") from error
    if not isinstance(values, dict):
        raise RunFolderError(f"{path}: holds no JSON object. Mend the file{_ANEW}.")
    return values


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _without_nonfinite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(entry) for entry in value]
    return value
