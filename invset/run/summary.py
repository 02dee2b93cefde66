"""What a run came to: summary.json, the grids, and the codes of its samples."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors

from invset.core.method import Step
from invset.core.problem import Counts
from invset.metrics.filling import uniform_distance
from invset.metrics.pairwise import mean_pairwise_distance, near_duplicates
from invset.run.images import load_png
from invset.run.journals import read_codes, read_samples
from invset.run.json_files import damaged, write_atomically
from invset.run.recorder import Recorder, Tally
from invset.run.sheet import save_grid

GRID = 60  # samples in samples.png
NEAR = 0.1  # of the distance between unrelated codes' encodings: nearer to an earlier sample is a near-duplicate


def summarise(
    recorder: Recorder,
    chains: int,
    tally: Tally,
    wanted: int,
    status: str,
    encoding_distance: float,
    has_seeds: bool = True,
    before: Counts | None = None,
) -> dict[str, Any]:
    """The figures of a run of so many chains, as summary.json holds them.

    `encoding_distance` is the median distance between the encodings of unrelated codes; distances are between the
    encodings of the samples as saved. Steps for seeds and after them are those of a method that `has_seeds`;
    passes `before` found its ranges and starts.
    """
    encodings, before = recorder.encodings, before or Counts()
    duplicates = int(near_duplicates(encodings, NEAR * encoding_distance).sum()) if len(encodings) else 0
    summary: dict[str, Any] = {
        "status": status,
        "wanted": wanted,
        "samples": recorder.count,
        "candidates": tally.candidates,
        "in_range_as_saved": recorder.count / tally.candidates if tally.candidates else math.nan,
    }
    if has_seeds:
        summary |= {
            "seed_steps": tally.seed_steps if tally.seed_steps >= 0 else None,
            "sampling_steps": tally.sampling_steps,
            "minimum_sampling_steps": max(0, -(-(wanted - chains) // chains)),
            "outer_iterations": tally.outer + (tally.seed_steps < 0),
        }
    summary |= {
        "gradient_steps": tally.steps,
        "passes": {
            "forward": tally.forward + before.forward,
            "backward": tally.backward + before.backward,
            "forward_of_saved_images": tally.checked,
        },
        "chains_not_finite": tally.not_finite,
        "mean_pairwise_distance": mean_pairwise_distance(encodings) if len(encodings) > 1 else math.nan,
        "unrelated_distance": encoding_distance,
        "near_duplicates": duplicates,
        "near_duplicate_share": duplicates / len(encodings) if len(encodings) else math.nan,
        "largest_batch": tally.at_once or None,
        "seconds": tally.seconds,
        "peak_memory_bytes": peak_memory(),
    }
    if tally.closest:
        summary["acceptance"] = tally.accepted / tally.tried if tally.tried else math.nan
        summary["closest"] = {"activations": list(tally.closest), "violation": tally.violation}
        summary["first"] = {"activations": list(tally.first)}
        summary["codes"] = _code_range(recorder)
    return summary


def measure_filling(recorder: Recorder, units: Sequence[str]) -> list[dict[str, float]]:
    """Of each unit: how far its samples are from filling their range evenly (Kolmogorov, Smirnov), and their median."""
    values = torch.tensor(list(_saved_activations(recorder, units).values())).reshape(-1, len(units))
    ends = zip(values.unbind(dim=1), recorder.region.lower.tolist(), recorder.region.upper.tolist(), strict=True)
    return [
        {"uniform_distance": uniform_distance(one, low, high), "median": float(one.median()) if len(one) else math.nan}
        for one, low, high in ends
    ]


def write_codes(recorder: Recorder, code_size: int) -> None:
    """codes.safetensors: `codes` (n, c), float32, in the order of the samples."""
    paths = recorder.folder.paths
    codes = read_codes(paths.code_journal, code_size)[: recorder.count]
    write_atomically(paths.codes, to_safetensors({"codes": codes}))


def write_samples(recorder: Recorder, units: Sequence[str], title: str) -> None:
    """samples.png: up to 60 of the samples, drawn evenly from the whole run, each with its activations."""
    paths, count = recorder.folder.paths, recorder.count
    if not count:
        return
    # Drawn at random: with a fixed stride, some chains would fall between its steps.
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:GRID].sort().values
    numbers = [int(number) + 1 for number in order]
    activations = _saved_activations(recorder, units)
    images = [load_png(paths.image(number)) for number in numbers]
    captions = [f"#{number}  {_written(activations[number])}" for number in numbers]
    shown = f"{len(numbers)} of {count} samples" if len(numbers) < count else f"{count} samples"
    save_grid(paths.samples, images, captions, f"{title}\n{shown}")


def write_seeds(recorder: Recorder, step: Step, title: str) -> None:
    """seeds.png: the codes with which sampling began, or that a run ended with which never reached its ranges.

    A step that kept no images, as those of eq. 16, leaves no picture.
    """
    images, activations = step.evaluation.images, step.evaluation.activations.tolist()
    if not len(images):
        return
    captions = [
        f"chain {chain + 1}  {_written(values)}{'' if inside else ' (outside)'}"
        for chain, values, inside in zip(step.chains.tolist(), activations, step.feasible.tolist(), strict=True)
    ]
    save_grid(recorder.folder.paths.seeds, list(images), captions, title)


def peak_memory() -> int:
    """The most memory this process has held, in bytes: on the accelerator if one is used, else in RAM."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    with suppress(OSError, StopIteration):  # Linux's ru_maxrss begins with what the parent process held
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _code_range(recorder: Recorder) -> dict[str, float]:
    journal = recorder.folder.paths.code_journal
    codes = read_codes(journal, recorder.codes.code_size)[: recorder.count] if recorder.count else torch.empty(0, 1)
    if not len(codes):
        return {}
    tenth = max(1, len(codes) // 10)
    norms = codes.norm(dim=1)
    return {
        "lowest": float(codes.min()),
        "highest": float(codes.max()),
        "mean_norm_of_first_tenth": float(norms[:tenth].mean()),
        "mean_norm_of_last_tenth": float(norms[-tenth:].mean()),
    }


def _saved_activations(recorder: Recorder, units: Sequence[str]) -> dict[int, list[float]]:
    path = recorder.folder.paths.activations
    try:
        return {int(row["sample"]): [float(row[f"{unit} saved"]) for unit in units] for row in read_samples(path)[1]}
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, repr(error)) from error


def _written(values: Sequence[float]) -> str:
    return "  ".join(f"{value:.4g}" for value in values)
