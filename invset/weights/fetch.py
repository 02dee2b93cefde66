"""Weights from the network: each source in turn, checked before anything reads them, once however many ask."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from invset.errors import WeightsError
from invset.weights import archive, cache, disk
from invset.weights.digests import difference, digests, looks_like_a_page
from invset.weights.download import Patience, Wanted, discard, download, origin
from invset.weights.known import Source, SourceError, Weights
from invset.weights.progress import Phase, Progress, Report, unheard

__all__ = ["Patience", "Progress", "Report", "fetch"]

_MARGIN = 1 << 20  # bytes to leave free


def fetch(weights: Weights, report: Report | None = None, patience: Patience | None = None) -> Path:
    """The file, from the cache or else from the first source that gives the right one.

    Another process that fetches it already is waited for. With INVSET_OFFLINE, as `cache.require`.

    Args:
        weights: what is wanted.
        report: told of progress.
        patience: how long to put up with a source.

    Raises:
        WeightsError: no source gave it; says why of each, and what to do by hand. Or it cannot be kept here.
    """
    found = cache.remembered(weights)
    if found is not None:
        return found
    if cache.offline():
        return cache.require(weights)
    told = report if report is not None else unheard
    there = cache.checked(weights) if cache.located(weights) is not None else None
    if there is not None:
        return there
    with cache.held(weights, lambda: told(Progress(weights, None, "waiting for another process"))):
        return cache.checked(weights) or _Fetching(weights, told, patience or Patience()).from_any()


class _Fetching:
    """One fetch of one file, by the process that holds its lock."""

    def __init__(self, weights: Weights, report: Report, patience: Patience) -> None:
        self.weights = weights
        self.report = report
        self.patience = patience
        self.part = cache.place(weights).with_name(f"{weights.file}.part")

    def from_any(self) -> Path:
        failures = []
        begun = origin(self.part)  # its rest is the shortest way
        for source in sorted(self.weights.sources, key=lambda source: source.url != begun):
            try:
                return self._from(source)
            except SourceError as error:
                failures.append(f"  {source.url}: {_harmless(str(error))}")
        if kept := disk.size_of(self.part):
            failures.append(f"What came, {disk.in_words(kept)}, is kept, and fetching again goes on from there.")
        tried = "\n".join(failures) or "  no source is known"
        raise WeightsError(f"weights {self.weights.name} could not be fetched:\n{tried}\n{cache.by_hand(self.weights)}")

    def _from(self, source: Source) -> Path:
        """The file from one source; once more from the start if what it was continued from made it wrong."""
        wanted = self._wanted(source)
        for again in (False, True):
            self._require_room()
            in_pieces = download(
                wanted,
                self.part,
                self.patience,
                moved=lambda done, total: self._tell(source, "downloading", done, total),
                waits=lambda why, wait: self._tell(source, "waiting to try again", note=f"{why}; {wait:.0f} s"),
            )
            try:
                return self._accept(source)
            except SourceError:
                discard(self.part)
                if again or not in_pieces:
                    raise
        raise AssertionError("the second time ends it")

    def _accept(self, source: Source) -> Path:
        """Unpack what was downloaded if it is packed, check it, and put it in its place."""
        unpacked = self.part.with_name(f".{self.weights.file}.unpacked")
        try:
            if looks_like_a_page(self.part):
                raise SourceError("it answers with a web page, not a file")
            if source.member is None:
                return self._settle(source, self.part)
            archive.extract(
                self.part,
                source.member,
                unpacked,
                self.weights.size,
                lambda done: self._tell(source, "unpacking", done, self.weights.size),
            )
            return self._settle(source, unpacked)
        finally:
            with suppress(OSError):
                unpacked.unlink()

    def _settle(self, source: Source, file: Path) -> Path:
        size = disk.size_of(file)
        if not size:
            raise SourceError("its file is empty")
        found = digests(file, self.weights.checksums, lambda done: self._tell(source, "checking", done, size))
        wrong = difference(self.weights, size, found) or cache.recorded_difference(self.weights, found["sha256"])
        if wrong is not None:
            raise SourceError(f"not the right file: {wrong}")
        path = cache.settle(self.weights, file, found, source.url)
        discard(self.part)
        return path

    def _wanted(self, source: Source) -> Wanted:
        size = None if source.member else self.weights.size
        most = size if size is not None else archive.LARGEST
        return Wanted(source.url, size, most, trusted=bool(self.weights.checksums), packed=source.member is not None)

    def _require_room(self) -> None:
        if self.weights.size is None:
            return
        folder = self.part.parent
        with disk.writing(folder):
            free = shutil.disk_usage(folder).free
        needed = self.weights.size - disk.size_of(self.part) + _MARGIN
        if free < needed:
            raise WeightsError(
                f"{folder}: {disk.in_words(free)} are free, and {self.weights.name} needs {disk.in_words(needed)}. "
                "Make room, or set INVSET_CACHE to a folder on another disk."
            )

    def _tell(self, source: Source, phase: Phase, done: int = 0, total: int | None = None, note: str = "") -> None:
        self.report(Progress(self.weights, source, phase, done, total, _harmless(note)))


def _harmless(text: str) -> str:
    """A text with a server's own words in it, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
