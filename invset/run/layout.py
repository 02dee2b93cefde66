"""Where things lie in a run's folder."""

from __future__ import annotations

from pathlib import Path


class Layout:
    """The paths of a run's files, whether or not they are there. Reading them needs no lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"  # the resolved config; where it is, there is a run
        self.manifest = root / "manifest.json"  # versions, weights and checksums, device, random seed, overrides
        self.summary = root / "summary.json"  # what the run came to
        self.samples = root / "samples.png"
        self.seeds = root / "seeds.png"
        self.coverage = root / "coverage.csv"  # how coverage grew with the samples
        self.coverage_plot = root / "coverage.png"
        self.activations = root / "activations.csv"  # journal: a line for each candidate, most of them samples
        self.trace = root / "trace.csv"  # journal: how the optimisation went
        self.code_journal = root / "codes.bin"  # journal: the samples' codes as raw float32, while the run goes
        self.codes = root / "codes.safetensors"  # the samples' codes, at the end
        self.checksums = root / "checksums.bin"  # journal: the CRC-32 of each sample's file
        self.checkpoint = root / "checkpoint.safetensors"  # where the run can go on from
        self.flushed = root / "checkpoint.flushed.safetensors"  # an earlier one: it and what it counts are on the disk
        self.lock = root / ".lock"  # what the process that writes the folder holds locked
        self.images = root / "images"
        self.journals = (self.activations, self.trace, self.code_journal, self.checksums)

    def image(self, number: int) -> Path:
        """The sample of that number, from 1: images/0001.png."""
        return self.images / f"{number:04d}.png"
