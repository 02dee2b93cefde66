"""Writes a run as it goes: image, then journal lines, then checkpoint; and measures each sample as saved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import compress, groupby
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from invset.core.method import Step
from invset.core.region import Region
from invset.errors import NonFiniteError, RunFolderError
from invset.models.network import Generator
from invset.run import checkpoint
from invset.run.folder import RunFolder, checksum_of, extent
from invset.run.images import load_pngs, save_pngs
from invset.run.journals import ChecksumJournal, CodeJournal, Journal, read_codes, read_samples
from invset.run.json_files import flush, reading, write_atomically

Read = Callable[[Tensor], tuple[Tensor, ...]]
"""images (b, 3, h, w) -> encodings (b, d), activations (b, p)"""

READ_BATCH = 32
FLUSH_EVERY = 10.0  # seconds of work that a power cut may cost


class Tally(NamedTuple):
    """What has been counted so far; saved in every checkpoint.

    Attributes:
        samples: images saved, read back and found in range.
        candidates: codes that the method took for samples.
        steps: gradient steps.
        seed_steps: those before sampling began; -1 as long as it has not.
        sampling_steps: steps from the seeds on, not counting the seeds themselves.
        outer: outer iterations ended.
        tried: codes that sampling looked at, not counting the seeds.
        accepted: those of them that lay in range.
        forward: codes that went forward through generator and network.
        backward: codes whose gradient was taken.
        not_finite: how often a code gave NaN or infinity, so that its chain started anew.
        checked: saved images that went forward through the network.
        at_once: how many codes at once memory was found to suffice for; 0 as long as it never ran out.
        closest: the activations of the code that came closest to the ranges; none before the first step.
        violation: how close, in half widths.
        first: the median activations of the codes of the first step.
        seconds: time spent stepping and writing.
    """

    samples: int = 0
    candidates: int = 0
    steps: int = 0
    seed_steps: int = -1
    sampling_steps: int = 0
    outer: int = 0
    tried: int = 0
    accepted: int = 0
    forward: int = 0
    backward: int = 0
    not_finite: int = 0
    checked: int = 0
    at_once: int = 0
    closest: tuple[float, ...] = ()
    violation: float = math.inf
    first: tuple[float, ...] = ()
    seconds: float = 0.0


class _Found(NamedTuple):
    """A checkpoint: its state and tally, its meta, and the images it counts that are not as they were written."""

    path: Path
    state: Any
    tally: Tally
    meta: dict[str, Any]
    lost: list[int]


class Recorder:
    """The writing end of a run: journals open, at the folder's last checkpoint of which all is there.

    `count` is the number of samples so far, those since the last checkpoint among them; `state`, of the type `kind`,
    is the checkpoint's, None without one. `mended` says what was lost, and from where the run goes on; '' as a rule.
    `draw` makes images again that were lost, and tells the size of all.
    """

    def __init__(
        self,
        folder: RunFolder,
        kind: type,
        units: Sequence[str],
        code_size: int,
        read: Read,
        region: Region,
        device: torch.device,
        draw: Generator | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.read = read
        self.region = region
        self.device = device
        self._draw = draw
        self._clock = clock
        paths = folder.paths
        self.mended = ""
        self.state: Any = None
        self.tally = Tally()
        self._checkpoint = b""  # the last one, as written
        found = self._find_checkpoint(kind)
        if found is not None:
            self.state, self.tally = found.state, found.tally
            with reading(found.path) as file:
                self._checkpoint = file.read()
        folder.rollback(None if found is None else found.meta)
        self.activations = Journal(paths.activations, activation_header(units))
        self.trace = Journal(paths.trace, trace_header(units))
        self.codes = CodeJournal(paths.code_journal, code_size)
        self.checksums = ChecksumJournal(paths.checksums)
        if found is not None and found.lost:
            if missing := self._draw_again(found.lost):
                self.mended = f"{missing} images were missing or damaged, and are made again from their codes"
        elif found is not None and found.path != paths.checkpoint:
            self.mended = "what came after that was lost in part, and is done again"
        groups = _read_batches(paths.activations, self.tally.samples)
        self._encodings = [self._saved(numbers)[0] for numbers in groups]
        self.count = sum(map(len, groups))
        self._flushed = (clock(), 0)  # when, and how many images: those of an earlier process may not be on the disk

    @property
    def encodings(self) -> Tensor:
        """E of every sample as saved: (n, d), on the CPU."""
        return torch.cat(self._encodings) if self._encodings else torch.empty(0, 0)

    def encodings_from(self, row: int) -> Tensor:
        """E of the samples from that row on, as `encodings[row:]`, at no cost for those before."""
        parts: list[Tensor] = []
        first = self.count
        while first > row:
            part = self._encodings[len(self._encodings) - 1 - len(parts)]
            first -= len(part)
            parts.append(part[max(0, row - first) :])
        return torch.cat(parts[::-1]) if parts else torch.empty(0, 0)

    def record(self, step: Step, room: int) -> int:
        """Write one step: its samples, `room` at most, and its lines in the trace. Returns how many candidates fitted.

        A candidate whose saved image does not lie in the region leaves a line in activations.csv, and nothing else.

        Raises:
            NonFiniteError: a saved image gave NaN or infinity; this step is not in the folder's checkpoint.
            RunFolderError: the disk.
        """
        samples = step.samples.tolist()
        taken = 0
        while room > 0 and taken < len(samples):
            rows = samples[taken : taken + room]
            room -= self._record_samples(step, rows)
            taken += len(rows)
        self.trace.append(_trace_rows(step))
        return taken

    def checkpoint(self, state: Any, tally: Tally) -> None:
        """Make this the point from which the run goes on."""
        self.state, self.tally = state, tally
        tensors, values = checkpoint.pack(state)
        _, counts = checkpoint.pack(tally, "tally.")
        where = extent(tally.samples, self.activations, self.trace, self.codes, self.checksums)
        self._checkpoint = checkpoint.write(tensors, values | counts | where)
        # The first is flushed before it has its place: where there is one, a power cut leaves one that can be read.
        if not self.folder.paths.flushed.exists() or self._clock() - self._flushed[0] >= FLUSH_EVERY:
            self.flush()
        write_atomically(self.folder.paths.checkpoint, self._checkpoint)

    def flush(self) -> None:
        """Force samples and all other files to the disk, and only then a copy of the last checkpoint.

        Raises:
            RunFolderError: the disk.
        """
        paths, images = self.folder.paths, range(self._flushed[1] + 1, self.count + 1)
        files = [*map(paths.image, images), *(one for one in paths.root.iterdir() if one.is_file())]
        flush(paths.root, [*files, paths.images, paths.root])
        if self._checkpoint:
            write_atomically(paths.flushed, self._checkpoint, flushed=True)
        self._flushed = (self._clock(), self.count)

    def close(self) -> None:
        """Close the journals; a second time does nothing."""
        for journal in (self.activations, self.trace, self.codes, self.checksums):
            journal.close()

    def _find_checkpoint(self, kind: type) -> _Found | None:
        """The newest checkpoint of which all is there; else the newest that can be read; None if there never was one.

        Raises:
            RunFolderError: none can be read, though a power cut leaves one.
        """
        damage: RunFolderError | None = None
        readable = []
        for path in (self.folder.paths.checkpoint, self.folder.paths.flushed):
            try:
                if path.exists():
                    readable.append(self._load(path, kind))
            except RunFolderError as error:
                damage = damage or error
            if readable and not readable[-1].lost:
                return readable[-1]
        if damage is not None and not readable:
            raise damage
        return readable[0] if readable else None

    def _load(self, path: Path, kind: type) -> _Found:
        tensors, meta = checkpoint.load(path)
        state = checkpoint.unpack(kind, tensors, meta, self.device)
        tally = checkpoint.unpack(Tally, {}, meta, self.device, "tally.")
        return _Found(path, state, tally, meta, self.folder.check(meta))

    def _draw_again(self, numbers: Sequence[int]) -> int:
        """Make lost images from their codes, and save them; returns how many of them were not there like that.

        Raises:
            RunFolderError: one does not lie in range as saved: these weights, or the codes, are others.
        """
        codes = read_codes(self.folder.paths.code_journal, self.codes.code_size)
        missing = 0
        for number in numbers:
            path = self.folder.paths.image(number)
            if self._draw is None:
                raise RunFolderError(f"{path}: missing, or not as it was written.")
            with torch.no_grad():
                drawn = self._draw(codes[number - 1 : number].to(self.device))[0].cpu()
            before, after = checksum_of(path), save_pngs([path], [drawn])[0]
            missing += before != after  # drawn alone it may differ by rounding, and be there like that already
            _, activations = self._saved([number])
            if not bool(self.region.contains(activations.to(self.device)).all()):
                raise RunFolderError(
                    f"{path}: missing, or not as it was written, and made again from its code it is not in range. "
                    "Put it back, or start a new run in another folder."
                )
        return missing

    def _record_samples(self, step: Step, rows: Sequence[int]) -> int:
        image = self.folder.paths.image
        first = self.count + 1
        numbers = range(first, first + len(rows))
        try:
            return self._record_images(step, rows, numbers)
        except BaseException:
            for number in numbers:
                if number > self.count:  # not measured to the end: it is no sample
                    with suppress(OSError):
                        image(number).unlink(missing_ok=True)
            raise

    def _record_images(self, step: Step, rows: Sequence[int], numbers: range) -> int:
        image, first = self.folder.paths.image, numbers.start
        pictures = step.evaluation.images[torch.tensor(rows).to(step.evaluation.images.device)].cpu()
        checksums = save_pngs([image(number) for number in numbers], list(pictures))
        encodings, activations = self._saved(numbers)
        inside = self.region.contains(activations.to(self.device)).tolist()
        lines: list[list[str | int | float]] = []
        kept = 0
        for number, row, saved, good in zip(numbers, rows, activations.tolist(), inside, strict=True):
            if not good:
                image(number).unlink()
            elif number != first + kept:
                image(number).rename(image(first + kept))
            computed = step.evaluation.activations[row].tolist()
            chain = int(step.chains[row]) + 1
            lines.append([first + kept if good else "", chain, step.number, *computed, *saved, good])
            kept += good
        good_rows = torch.tensor(inside)
        self.codes.append(step.codes[torch.tensor(rows)[good_rows].to(step.codes.device)])
        self.checksums.append(compress(checksums, inside))
        self.activations.append(lines)
        self._encodings.append(encodings[good_rows])
        self.count += kept  # last: now they are samples
        return kept

    def _saved(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        read: list[tuple[Tensor, ...]] = []
        for first in range(0, len(numbers), READ_BATCH):  # as `_read_batches` has them
            paths = [self.folder.paths.image(number) for number in numbers[first : first + READ_BATCH]]
            images = load_pngs(paths, None if self._draw is None else self._draw.image_shape[1:])
            with torch.no_grad():
                read.append(self.read(images.to(self.device)))
        encodings, activations = (torch.cat(parts) for parts in zip(*read, strict=True))
        if not (encodings.isfinite().all() and activations.isfinite().all()):
            raise NonFiniteError(
                f"images {numbers[0]:04d} to {numbers[-1]:04d} as saved gave NaN or infinity: the weights are beyond "
                "what the network can compute; check the weights"
            )
        return encodings.cpu(), activations.cpu()


def activation_header(units: Sequence[str]) -> list[str]:
    """Columns of activations.csv."""
    return [
        "sample", "chain", "step", *(f"{unit} computed" for unit in units), *(f"{unit} saved" for unit in units),
        "in_range",
    ]  # fmt: skip


def trace_header(units: Sequence[str]) -> list[str]:
    """Columns of trace.csv; `accepted`: the code lay in range, which while seeding makes it no sample yet."""
    per_unit = [f"{unit} {what}" for what in ("activation", "violation", "lambda") for unit in units]
    return ["step", "phase", "outer", "chain", *per_unit, "mu", "length", "accepted"]


def _trace_rows(step: Step) -> list[list[str | int | float]]:
    columns = [step.evaluation.activations, step.violation, step.multipliers.values, step.multipliers.penalty[:, None]]
    numbers = torch.cat([column.float() for column in [*columns, step.lengths[:, None]]], dim=1).tolist()
    flags = (step.chains, step.sampling, step.outer, step.feasible)
    return [
        [step.number, "sampling" if sampling else "seeding", outer, chain + 1, *row, bool(feasible)]
        for row, chain, sampling, outer, feasible in zip(numbers, *(flag.tolist() for flag in flags), strict=True)
    ]


def _read_batches(activations: Path, count: int) -> list[Sequence[int]]:
    """The numbers of the first `count` samples in batches: those of a step together, as they were when it was written.

    What a network gives for an image depends in its last bits on how many others are in the batch: so a resumed run has
    the very encodings that it had before, if all candidates were in range as saved.
    """
    steps = [row.get("step") for row in read_samples(activations)[1]]
    if len(steps) != count:  # not as it was written: any batches do
        steps = [None] * count
    batches: list[Sequence[int]] = []
    for _, group in groupby(range(1, count + 1), key=lambda number: steps[number - 1]):
        numbers = list(group)
        batches += [numbers[first : first + READ_BATCH] for first in range(0, len(numbers), READ_BATCH)]
    return batches
