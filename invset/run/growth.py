"""How a run's coverage grew with its samples: followed as they come, written to coverage.csv and summary.json."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invset.metrics.estimate import Estimate
from invset.metrics.saturation import ALIKE, WINDOW, Novelty, coverage, plateaued
from invset.run.json_files import write_atomically
from invset.run.recorder import Recorder


class Growth:
    """What a run's samples add to those before them, by their encodings as saved.

    Args:
        unrelated: a run's state -> the median distance between encodings of unrelated images, > 0.
        gain: the share of new ones among the last 100 samples below which they have come to a plateau, 0 to 1.
    """

    def __init__(self, unrelated: Callable[[Any], float], gain: float) -> None:
        self.gain = gain
        self._unrelated = unrelated
        self._unit = math.nan
        self._found: Novelty | None = None

    def follow(self, recorder: Recorder, state: Any) -> None:
        """Take in the samples that there are by now; a run that never began has none."""
        if state is None:
            return
        if self._found is None:
            self._unit = self._unrelated(state)
            self._found = Novelty.none(ALIKE * self._unit)
        known = len(self._found.new)
        if recorder.count > known:
            self._found = self._found.extended(recorder.encodings_from(known))

    @property
    def new(self) -> tuple[bool, ...]:
        """Of each sample, whether it was new, a distinct image: unlike all new ones before it."""
        return () if self._found is None else self._found.new

    @property
    def plateaued(self) -> bool:
        """Whether the samples have come to a plateau."""
        return plateaued(self.new, self.gain)

    def curve(self) -> list[Estimate]:
        """Coverage after each sample, with its interval."""
        new = self.new
        return [coverage(new[max(0, count - WINDOW) : count]) for count in range(1, len(new) + 1)]

    def figures(self) -> dict[str, Any]:
        """As summary.json holds them: coverage, and of how many last samples how many were new."""
        last = self.new[-WINDOW:]
        figures = {**coverage(last)._asdict(), "last": len(last), "new_of_last": sum(last), "new": sum(self.new)}
        return {"coverage": figures, "plateau": self.plateaued}

    def write(self, path: Path) -> None:
        """coverage.csv: a line a sample, and no file without one.

        Distances are to the nearest new sample before, in those of unrelated images.

        Raises:
            RunFolderError: it cannot be written.
        """
        if not self.new:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["n", "new", "distance", "new_so_far", "coverage", "low", "high"])
        so_far = 0
        distances = () if self._found is None else self._found.distances
        for number, (new, distance, estimate) in enumerate(zip(self.new, distances, self.curve(), strict=True), 1):
            so_far += new
            apart = f"{distance / self._unit:.5g}" if math.isfinite(distance) else ""
            writer.writerow([number, int(new), apart, so_far, *(f"{value:.5g}" for value in estimate)])
        write_atomically(path, text.getvalue().encode())
