"""Steps until the budget is spent, with metrics, grids of images and checkpoints on the way."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from invset.errors import WeightsError
from invset.run.images import to_picture
from training.checkpoint import append_metrics, load_checkpoint, rewind_metrics, save_checkpoint

CHECKPOINT = "checkpoint.pt"
Evaluate = Callable[[], tuple[dict[str, float], Tensor | None]]


class Training(Protocol):
    """What the loop needs of a training."""

    step_number: int

    @property
    def done(self) -> bool:
        """Whether the budget of images is spent."""

    def step(self) -> dict[str, Tensor]:
        """One update; returns the losses."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on exactly from `state`."""


def train(
    training: Training,
    out: Path,
    *,
    minutes: float | None = None,
    report_every: int = 100,
    checkpoint_minutes: float = 3.0,
    evaluate: Evaluate | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train in the folder `out`, going on exactly where its checkpoint, if there is one, stopped.

    Every `report_every` steps the mean losses and what `evaluate` measures become a line of metrics.jsonl,
    and its grid of images (3, h, w) in [0, 1] a PNG. Ends when the training is done or `minutes` have passed
    (earlier runs in the folder not counted), with a checkpoint.
    """
    out.mkdir(parents=True, exist_ok=True)
    sums: dict[str, Tensor] = {}
    if (out / CHECKPOINT).exists():
        state = load_checkpoint(out / CHECKPOINT)
        try:
            training.load_state(state["training"])
        except (KeyError, RuntimeError, ValueError) as error:  # parts, or their shapes
            raise WeightsError(
                f"{out / CHECKPOINT}: of another stage or critic, or of other classes; take another out=."
            ) from error
        sums = state["sums"]
        rewind_metrics(out / "metrics.jsonl", training.step_number)
        say(f"goes on from step {training.step_number}")

    def keep() -> None:
        save_checkpoint(out / CHECKPOINT, {"training": training.state(), "sums": sums})

    started = kept = time.monotonic()
    while not training.done and (minutes is None or time.monotonic() - started < 60 * minutes):
        for name, value in training.step().items():  # as tensors: a number would wait for the device
            sums[name] = value.double() + sums.get(name, 0.0)
        if training.step_number % report_every == 0:
            metrics = {name: float(total) / report_every for name, total in sums.items()}
            sums = {}
            if evaluate is not None:
                measured, grid = evaluate()
                metrics |= measured
                if grid is not None:
                    save_png(grid, out / "grids" / f"{training.step_number:07d}.png")
            append_metrics(out / "metrics.jsonl", {"step": training.step_number, **metrics})
            say(f"step {training.step_number}: " + ", ".join(f"{k} {v:.4g}" for k, v in metrics.items()))
        if time.monotonic() - kept > 60 * checkpoint_minutes:
            keep()
            kept = time.monotonic()
    keep()


def save_png(image: Tensor, path: Path) -> None:
    """(3, h, w) in [0, 1] -> an 8-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    to_picture(image).save(path)
