"""A run in its folder: stepped, and at its end summed up, whoever drives it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from invset.assemble.sampling import Sampling
from invset.core.method import Step
from invset.passes.micro_batches import Batches, describing_memory
from invset.run import goal, summary
from invset.run.folder import RunFolder
from invset.run.growth import Growth
from invset.run.json_files import write_json
from invset.run.recorder import Recorder
from invset.run.runner import Progress, Runner
from invset.settings import SampleSettings


class Run:
    """A run of settings in a folder, from its beginning or its last checkpoint.

    Args:
        settings: of the run.
        sampling: what they assemble to.
        folder: where it is written.
        on_smaller: is given how many go through at once, whenever memory has run out.
    """

    def __init__(
        self,
        settings: SampleSettings,
        sampling: Sampling,
        folder: RunFolder,
        on_smaller: Callable[[int], None] = lambda largest: None,
    ) -> None:
        self.settings = settings
        self.sampling = sampling
        self.folder = folder
        models = sampling.models
        reading = Batches()  # on a GPU on another thread than the problem's
        sampling.batches.on_smaller = reading.on_smaller = on_smaller
        self.units = [str(unit) for unit in models.units]
        self.recorder = Recorder(
            folder,
            sampling.method.State,
            self.units,
            models.generator.code_size,
            reading.over(sampling.reader),
            sampling.region,
            models.device,
            draw=models.generator,
        )
        self.growth = Growth(sampling.unrelated_distance, settings.gain)
        self.runner = Runner(
            sampling.method,
            sampling.problem,
            self.recorder,
            settings.n,
            batches=sampling.batches,
            on_seeds=self._write_seeds if sampling.kind.seeds else None,
            growth=self.growth if settings.until == "plateau" else None,
            pipelined=models.device.type != "cpu",  # where both would want the same cores
        )

    def steps(self) -> Iterator[Progress]:
        """Step until the run is at its end; every step is on disk when yielded.

        Raises:
            InvsetError: a network gave NaN or infinity, the disk cannot be written, or memory does not suffice.
        """
        with describing_memory("resume the run on the CPU, or where there is more"):
            yield from self.runner.steps()

    def finish(self, status: str | None = None) -> dict[str, Any]:
        """Write pictures, codes and figures; returns those of summary.json.

        `status` None: what the run came to. Raises RunFolderError: a file cannot be written.
        """
        runner, recorder, sampling = self.runner, self.recorder, self.sampling
        if runner.last is not None and not runner.tally.candidates:
            summary.write_seeds(recorder, runner.last, f"{sampling.title}\nas far as the chains came")
        state = runner.state
        distance = sampling.unrelated_distance(state) if state is not None else math.nan
        self.growth.follow(recorder, state)
        ended = goal.describe(self.settings, recorder.count, self.growth.plateaued)
        figures = summary.summarise(
            recorder,
            sampling.chains,
            runner.tally,
            ended["wanted"],
            status or runner.status,
            distance,
            has_seeds=sampling.kind.seeds,
            before=sampling.before,
        )
        filling = summary.measure_filling(recorder, self.units)
        figures |= {**ended, **self.growth.figures(), "filling": filling}
        if self.settings.until != "plateau":  # of a run that was not asked for one
            del figures["plateau"], figures["gain"]
        self.growth.write(self.folder.paths.coverage)
        summary.write_codes(recorder, sampling.models.generator.code_size)
        summary.write_samples(recorder, self.units, sampling.title)
        recorder.flush()
        write_json(self.folder.paths.summary, figures)
        self.folder.update_manifest(ended=time.strftime("%Y-%m-%dT%H:%M:%S%z"), seconds=figures["seconds"])
        return figures

    def close(self) -> None:
        """Close the run's journals; a second time does nothing."""
        self.recorder.close()

    def _write_seeds(self, step: Step) -> None:
        summary.write_seeds(self.recorder, step, f"{self.sampling.title}\nseeds")
