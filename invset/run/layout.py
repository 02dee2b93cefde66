"""Where things lie in a run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """The paths of a run's files, whether or not they are there. Reading them needs no lock."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved config; where it is, there is a run."""
        return self.root / "config.yaml"

    @property
    def manifest(self) -> Path:
        """Versions, weights and checksums, device, random seed, timings, overrides."""
        return self.root / "manifest.json"

    @property
    def summary(self) -> Path:
        """What the run came to."""
        return self.root / "summary.json"

    @property
    def samples(self) -> Path:
        """The grid of samples."""
        return self.root / "samples.png"

    @property
    def seeds(self) -> Path:
        """The grid of seeds."""
        return self.root / "seeds.png"

    @property
    def coverage(self) -> Path:
        """How coverage grew with the samples."""
        return self.root / "coverage.csv"

    @property
    def coverage_plot(self) -> Path:
        """The same as a picture."""
        return self.root / "coverage.png"

    @property
    def activations(self) -> Path:
        """Journal: a line for each sample."""
        return self.root / "activations.csv"

    @property
    def trace(self) -> Path:
        """Journal: how the optimisation went."""
        return self.root / "trace.csv"

    @property
    def code_journal(self) -> Path:
        """Journal: the samples' codes as raw float32, while the run goes."""
        return self.root / "codes.bin"

    @property
    def codes(self) -> Path:
        """The samples' codes, at the end."""
        return self.root / "codes.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Where the run can go on from."""
        return self.root / "checkpoint.safetensors"

    @property
    def lock(self) -> Path:
        """What the process that writes the folder holds locked."""
        return self.root / ".lock"

    @property
    def images(self) -> Path:
        """The folder of samples."""
        return self.root / "images"

    def image(self, number: int) -> Path:
        """The sample of that number, from 1: images/0001.png."""
        return self.images / f"{number:04d}.png"

    @property
    def journals(self) -> tuple[Path, ...]:
        """All files that only grow."""
        return self.activations, self.trace, self.code_journal
