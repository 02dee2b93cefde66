"""What `invset sample` says of coverage: coverage.csv, the picture of it, and a line or two at the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invset.cli.schema import SampleConfig

if TYPE_CHECKING:
    from invset.run.growth import Growth
    from invset.run.recorder import Recorder


def write_coverage(config: SampleConfig, recorder: Recorder, growth: Growth, title: str) -> None:
    """coverage.csv, and with until=plateau coverage.png; nothing of a run without samples.

    Raises:
        RunFolderError: a file cannot be written.
    """
    paths = recorder.folder.paths
    if not growth.new:
        return
    growth.write(paths.coverage)
    if config.until == "plateau":
        from invset.report.coverage import coverage_plot
        from invset.run.grids import save_picture

        save_picture(paths.coverage_plot, coverage_plot(title, growth.curve(), growth.new, config.gain))


def in_words(outcome: Mapping[str, Any]) -> str:
    """Coverage with its interval, and how it was counted; it is of what a method finds: another may find more."""
    told = outcome["coverage"]
    last = f"the last {told['last']}" if told["last"] < outcome["samples"] else f"all {told['last']}"
    whole = f", of {outcome['samples']} in all {told['new']}" if told["last"] < outcome["samples"] else ""
    return (
        f"coverage {told['value']:.2f} ({told['low']:.2f} to {told['high']:.2f}) of what this method finds: "
        f"of {last} samples {told['new_of_last']} were unlike all before{whole}"
    )


def without_a_plateau(outcome: Mapping[str, Any], folder: Path) -> str:
    """What to do where n samples did not come to one."""
    return (
        f"no plateau by n={outcome['n']}: it takes fewer than {100 * outcome['gain']:g} such samples of 100 "
        f"(gain={outcome['gain']:g}); to go on: invset sample {shlex.quote(f'resume={folder}')} n={2 * outcome['n']}"
    )
