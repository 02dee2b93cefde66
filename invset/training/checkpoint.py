"""Checkpoints that a kill at any moment cannot damage, and metrics as JSON lines that agree with them."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from invset.errors import WeightsError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write under a temporary name, then replace: the old file or the new one is there, never a half."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, on the CPU.

    Raises:
        WeightsError: no such file, or not a checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such checkpoint. Train this stage first, or mend the path.") from error
    except Exception as error:  # torch.load raises whatever its unpickler meets
        raise WeightsError(f"{path}: not a checkpoint of this script ({error}). Remove it to start again.") from error


def initialise(module: nn.Module, path: str | Path, key: str) -> None:
    """Fill an unfolded module from a checkpoint's `key` or a safetensors file; what is absent stays.

    Raises:
        WeightsError: the file is missing, damaged, or holds a tensor that the module does not have.
    """
    path = Path(path)
    try:
        state = load_checkpoint(path)["training"][key] if path.suffix == ".pt" else load_file(path)
        if unknown := module.load_state_dict({k: v.float() for k, v in state.items()}, strict=False).unexpected_keys:
            raise WeightsError(f"{path}: {type(module).__name__} has no {unknown[0]}. Give unfolded weights.")
    except (FileNotFoundError, KeyError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot start a {type(module).__name__} from it ({error}).") from error


def append_metrics(path: Path, metrics: dict[str, float]) -> None:
    """One more line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({k: v if isinstance(v, int) else float(f"{v:.6g}") for k, v in metrics.items()}) + "\n")


def rewind_metrics(path: Path, step: int) -> None:
    """Drop the lines written after `step`, and half a line at the end: a resumed run writes them again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if entry["step"] <= step:
            kept.append(line + "\n")
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
