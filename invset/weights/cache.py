"""Files of weights on this machine: whether they are the right ones, and how one got by hand becomes one of them.

A file is right if it matches the published checksums. Where none is published the first file is trusted, recorded
with its SHA-256, and asked to be the same from then on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from invset.errors import WeightsError
from invset.weights import archive, disk, records
from invset.weights.digests import difference, digests, looks_like_a_page
from invset.weights.known import PREFIX, SourceError, Weights
from invset.weights.places import candidates, folder, held, located, offline, place
from invset.weights.records import Record

__all__ = [
    "Verdict",
    "add",
    "by_hand",
    "checked",
    "folder",
    "held",
    "in_words",
    "located",
    "offline",
    "place",
    "recorded_difference",
    "remembered",
    "require",
    "settle",
    "verify",
]

BY_CHECKSUM, BY_FIRST_USE = "published checksum", "first use"
_FOUND = "found in the cache folder"


@dataclass(frozen=True)
class Verdict:
    """What a look at a file found: `path` is None if it is not here; `words` say what it was compared with."""

    weights: Weights
    path: Path | None
    good: bool
    words: str


def checked(weights: Weights, seen: Callable[[int], None] | None = None) -> Path | None:
    """The file, known to be the right one; None if it is not here. Reads it only if it changed since it last was.

    Raises:
        WeightsError: the file or the records cannot be read.
    """
    known = records.read(folder()).get(weights.name)
    for path in candidates(weights):
        if known is not None and _stands(known, weights, path):
            return path
        if path.is_file() and _examine(weights, path, seen).good:
            return path
    return None


def remembered(weights: Weights) -> Path | None:
    """As `checked`, but None too for a file that would have to be read first."""
    known = records.read(folder()).get(weights.name)
    return next((p for p in candidates(weights) if known is not None and _stands(known, weights, p)), None)


def verify(weights: Weights, seen: Callable[[int], None] | None = None) -> Verdict:
    """Read the file and compare it with its published checksums, or else with what was recorded on first use.

    Raises:
        WeightsError: the file or the records cannot be read.
    """
    path = located(weights)
    return Verdict(weights, None, False, "not here") if path is None else _examine(weights, path, seen)


def require(weights: Weights) -> Path:
    """The file, known to be the right one.

    Raises:
        WeightsError: it is not here; says exactly what to put where.
    """
    path = checked(weights)
    if path is not None:
        return path
    verdict = verify(weights)
    there = "not here" if verdict.path is None else f"{verdict.path} is not the right file ({verdict.words})"
    network = ", and INVSET_OFFLINE forbids to fetch it" if offline() else ""
    raise WeightsError(f"weights {weights.name}: {there}{network}.\n{by_hand(weights)}")


def by_hand(weights: Weights) -> str:
    """What to do where fetching is not possible: the file, its marks, the addresses, the command."""
    marks = [f"{weights.size:,} bytes"] if weights.size is not None else []
    for algorithm, digest in weights.checksums.items():
        marks.append(f"sha256 {digest}…" if algorithm == PREFIX else f"{algorithm} {digest}")
    described = ", ".join(marks) or "no size or checksum is published"
    lines = [f"By hand: get {weights.file} ({described})"]
    for source in weights.sources:
        inside = f" (an archive with {source.member} in it; give add the archive)" if source.member else ""
        lines.append(f"  from {source.url}{inside}")
    lines.append(f"then run: invset weights add {weights.name} PATH")
    lines.append(f"which keeps it as {place(weights)}. Terms: {weights.terms}.")
    return "\n".join(lines)


def add(weights: Weights, path: Path) -> Verdict:
    """Copy a file that was got by hand, or an archive with it inside, into the cache; `path` itself stays as it is.

    The copy is compared with the published checksums. Without any it is trusted and recorded, in the place of what
    was recorded before.

    Raises:
        WeightsError: it is not the file; or it cannot be read, or the copy not written.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: {'not a file' if path.exists() else 'there is no such file'}.")
    target = place(weights)
    with held(weights):
        if target.exists() and path.samefile(target):
            return _admitted(weights, target, path, _FOUND)
        temporary = target.with_name(f".{target.name}.added")
        try:
            _copy(weights, path, temporary)
            verdict = _admitted(weights, temporary, path, f"added by hand from {path.absolute()}")
        finally:
            with suppress(OSError):
                temporary.unlink()
    return verdict


def settle(weights: Weights, temporary: Path, found: dict[str, str], source: str) -> Path:
    """Move a file that was found to be right to its place, and record it.

    Raises:
        WeightsError: it cannot be written.
    """
    target = place(weights)
    if temporary != target:
        disk.put(temporary, target)
    _record(weights, target, found["sha256"], source)
    return target


def recorded_difference(weights: Weights, sha256: str) -> str | None:
    """What tells a file from the one trusted on first use, where no checksum is published; None if nothing does."""
    known = records.read(folder()).get(weights.name)
    if weights.checksums or known is None or known.sha256 == sha256:
        return None
    return (
        f"its sha256 is {sha256}, not {known.sha256} as on first use ({known.checked}, {known.source}); to trust it "
        f"all the same, get it by hand and run: invset weights add {weights.name} PATH"
    )


def _stands(record: Record, weights: Weights, path: Path) -> bool:
    """Whether what was recorded is about this file as it is now, and is enough by what is published today."""
    is_its = record.path == ("" if path == place(weights) else str(path))
    enough = record.trust == BY_CHECKSUM or not weights.checksums
    digest = weights.checksums.get("sha256", weights.checksums.get(PREFIX, ""))
    return is_its and enough and record.sha256.startswith(digest) and record.is_of(path)


def _examine(weights: Weights, path: Path, seen: Callable[[int], None] | None = None) -> Verdict:
    found = digests(path, weights.checksums, seen)
    wrong = difference(weights, disk.size_of(path), found) or recorded_difference(weights, found["sha256"])
    if wrong is not None:
        return Verdict(weights, path, False, wrong)
    if not weights.checksums and looks_like_a_page(path):
        return Verdict(weights, path, False, "it is a web page, not a file of weights")
    known = records.read(folder()).get(weights.name)
    words = in_words(weights, known)
    if known is None or not _stands(known, weights, path):
        with suppress(WeightsError):  # a cache that may only be read is as good; its files are read each time
            _record(weights, path, found["sha256"], known.source if known is not None else _FOUND)
    return Verdict(weights, path, True, words)


def in_words(weights: Weights, known: Record | None) -> str:
    """What a file that is right was compared with."""
    if weights.checksums:
        names = [
            f"beginning of sha256 ({digest})" if name == PREFIX else name for name, digest in weights.checksums.items()
        ]
        return f"matches the published {' and '.join(names)}"
    if known is None:
        return "no checksum is published: trusted on first use, and recorded"
    return f"as on first use ({known.checked}, {known.source}); no checksum is published"


def _admitted(weights: Weights, temporary: Path, path: Path, source: str) -> Verdict:
    found = digests(temporary, weights.checksums)
    wrong = difference(weights, disk.size_of(temporary), found)
    if wrong is None and looks_like_a_page(temporary):
        wrong = "it is a web page, not a file of weights"
    if wrong is not None:
        raise WeightsError(f"{path}: not the file of {weights.name}: {wrong}. Nothing was added.\n{by_hand(weights)}")
    target = settle(weights, temporary, found, source)
    return Verdict(weights, target, True, in_words(weights, None))


def _copy(weights: Weights, path: Path, temporary: Path) -> None:
    members = list(dict.fromkeys(source.member for source in weights.sources if source.member))
    if members and archive.is_archive(path):
        reasons = []
        for member in members:
            try:
                archive.extract(path, member, temporary, weights.size)
                return
            except SourceError as error:
                reasons.append(str(error))
        raise WeightsError(f"{path}: {'; '.join(reasons)}. Nothing was added.\n{by_hand(weights)}")
    try:
        readable = path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}). Get the right to read it.") from error
    with readable, disk.writing(temporary), temporary.open("wb") as copy:
        shutil.copyfileobj(readable, copy, 1 << 20)


def _record(weights: Weights, path: Path, sha256: str, source: str) -> None:
    state = path.stat()
    trust = BY_CHECKSUM if weights.checksums else BY_FIRST_USE
    where = "" if path == place(weights) else str(path)
    record = Record(sha256, state.st_size, state.st_mtime_ns, trust, source, records.now(), where)
    records.write(folder(), weights.name, record)
