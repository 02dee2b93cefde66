"""Told by Hydra that a sweep begins, in the process that was launched, whichever launcher runs the jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

begun: Path | None = None
"""The folder of the sweep that this process has launched, if it has."""


class NoteSweep(Callback):
    """Keeps the folder of the sweep; `hydra.callbacks` in configs/sample.yaml names it."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """The sweep is about to begin."""
        global begun
        begun = Path(str(config.hydra.sweep.dir))
