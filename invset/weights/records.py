"""What was checked when: the memory behind trust on first use, and behind not reading a file twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock

from invset.errors import WeightsError
from invset.weights import disk

FILE = "records.json"


@dataclass(frozen=True)
class Record:
    """A file as it was when it was checked.

    `trust` is "published checksum" or "first use"; `source` an address, or where it came from in words; `path` is
    empty for a file in the cache folder, `mtime` in nanoseconds, `checked` a date with its zone.
    """

    sha256: str
    size: int
    mtime: int
    trust: str
    source: str
    checked: str
    path: str = ""

    def is_of(self, path: Path) -> bool:
        """Whether the file at `path` has the size and time it had when it was checked."""
        try:
            state = path.stat()
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (self.size, self.mtime)


def now() -> str:
    """The time as it is recorded."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def read(folder: Path) -> dict[str, Record]:
    """Name of the weights to record.

    Raises:
        WeightsError: the file of records cannot be read, or holds something else.
    """
    path = folder / FILE
    try:
        values = json.loads(path.read_bytes())
        names = {entry.name for entry in fields(Record)}
        return {
            name: _checked(Record(**{key: value for key, value in entry.items() if key in names}))
            for name, entry in values.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}). Get the right to read it.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{path}: not a file of records. Remove it; files of weights are then checked anew, and those without a "
            "published checksum trusted anew."
        ) from error


def write(folder: Path, name: str, record: Record) -> None:
    """Put a record in the place of the one of that name, whatever other processes do to other names.

    Raises:
        WeightsError: it cannot be written or locked.
    """
    disk.make_folder(folder)
    with _locked(folder):
        records = {**read(folder), name: record}
        disk.put_json(folder / FILE, {key: asdict(entry) for key, entry in sorted(records.items())})


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / f".{FILE}.lock")
    with disk.writing(folder / FILE):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _checked(record: Record) -> Record:
    kinds: Mapping[str, type] = {"size": int, "mtime": int}
    for name, value in asdict(record).items():
        if not isinstance(value, kinds.get(name, str)):
            raise TypeError(name)
    return record
