"""Writing that a kill cannot leave half done, and errors of the disk in words.

"Atomic" here is against a killed process: a file is written beside its place and renamed into it. Nothing is
forced to the disk (fsync), which would cost more than a step of the sampler: after a power cut the file
system decides.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from invset.errors import RunFolderError

_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on file sizes",
    errno.EACCES: "get the right to write there",
    errno.EPERM: "get the right to write there",
    errno.EROFS: "make the file system writable",
    errno.ENOENT: "put back the folder that is gone",
    errno.EMFILE: "raise the limit on open files",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a RunFolderError that names the file, the cause and the way on."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "mend the cause")
        raise RunFolderError(
            f"{path}: cannot be written ({cause}). What was written before stays: {remedy}, "
            "then continue the run with resume=FOLDER."
        ) from error


def write_all(file: int, data: bytes) -> None:
    """Write every byte to a file descriptor; a disk that fills up takes only some of them at first.

    Raises:
        OSError: the rest cannot be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path`: the old file or the new one is there at every moment, never half of one.

    Raises:
        RunFolderError: it cannot be written; the old file stays.
    """
    temporary = path.with_name(temporary_name(path.name))
    with writing(path):
        try:
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                write_all(file, data)
            finally:
                os.close(file)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise


def temporary_name(name: str) -> str:
    """What a file is called while it is being written."""
    return f".{name}.tmp"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write indented JSON atomically; NaN becomes null, infinities the strings "inf", "-inf".

    Raises:
        RunFolderError: it cannot be written.
        TypeError: a value is not of a type that JSON has.
    """
    text = json.dumps(_without_nonfinite(values), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of a run folder.

    Raises:
        RunFolderError: the file is missing, unreadable or no JSON object.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot be read ({error.strerror}). Put it back, or start a new run in another folder."
        ) from error
    except ValueError as error:
        raise RunFolderError(
            f"{path}: not JSON ({error}). Mend the file, or start a new run in another folder."
        ) from error
    if not isinstance(values, dict):
        raise RunFolderError(f"{path}: holds no JSON object. Mend it, or start a new run in another folder.")
    return values


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _without_nonfinite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(entry) for entry in value]
    return value
