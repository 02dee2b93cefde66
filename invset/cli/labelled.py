"""What several jobs print to one terminal at a time: whole lines, each with its job's folder before it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

from hydra.core.hydra_config import HydraConfig

from invset.cli.report import shown

MIXED = "joblib"  # the launcher whose jobs print to the terminal that they were launched from
OURS = "invset: "  # how an error begins


class Labelled(io.TextIOBase):
    """Passes lines on once they are whole, with a label; an error's label stands behind its `invset: `."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._begun = ""

    def write(self, text: str) -> int:
        """Take some text; lines that it ends are written at once, in one piece."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            first = OURS if line.startswith(OURS) else ""
            self._stream.write(f"{first}{self._label}: {line.removeprefix(OURS)}\n")
            self._stream.flush()
        return len(text)

    def close(self) -> None:
        """Write what no line's end came for."""
        if self._begun:
            self.write("\n")


@contextmanager
def job_lines() -> Iterator[None]:
    """While it lasts, what the job that Hydra is at prints is labelled, if others print to the same terminal."""
    hydra = HydraConfig.get()
    if hydra.runtime.choices.get("hydra/launcher") != MIXED:
        yield
        return
    folder = str(shown(Path(hydra.runtime.output_dir)))
    out, err = Labelled(sys.stdout, folder), Labelled(sys.stderr, folder)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            yield
    finally:
        out.close()
        err.close()
