"""Checkpoints that a kill at any moment cannot damage, and metrics as JSON lines that agree with them."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from invset.errors import ConfigError, WeightsError
from invset.files import write_atomically
from invset.models.mini import Dimensions, MiniGenerator, MiniNetwork


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


def initialise(module: nn.Module, path: str | Path, key: str, fitting: bool = False) -> None:
    """Fill an unfolded module from a checkpoint's `key` or a safetensors file; what is absent stays.

    fitting: whether what the module does not have, or has in another shape, is passed over.

    Raises:
        WeightsError: the file is missing, damaged, or holds a tensor that does not fit.
    """
    path = Path(path)
    try:
        state = load_checkpoint(path)["training"][key] if path.suffix == ".pt" else load_file(path)
        if fitting:
            own = module.state_dict()
            state = {name: v for name, v in state.items() if name in own and own[name].shape == v.shape}
        if unknown := module.load_state_dict({k: v.float() for k, v in state.items()}, strict=False).unexpected_keys:
            raise WeightsError(f"{path}: {type(module).__name__} has no {unknown[0]}. Give unfolded weights.")
    except (OSError, AttributeError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot start a {type(module).__name__} from it ({error}).") from error


def trained_dimensions(path: str | Path) -> Dimensions:
    """Of the model in a checkpoint.

    Raises:
        WeightsError: the file is missing or damaged.
        ConfigError: there is no such model.
    """
    try:
        return _dimensions(load_checkpoint(Path(path))["training"])
    except (KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not a checkpoint of this script ({error}).") from error


def require_dimensions(state: dict[str, Any], dimensions: Dimensions) -> None:
    """Raises ConfigError where a checkpoint's training has others: shapes alone do not tell sizes apart."""
    if (found := _dimensions(state)) != dimensions:
        raise ConfigError(f"the run to go on with has {found}, and the config {dimensions}: take another out=.")


def require_pair(network: MiniNetwork, generator: MiniGenerator) -> None:
    """Raises ConfigError where the generator was not made for codes and images of such a network."""
    ours, theirs = network.dimensions, generator.dimensions
    if (ours.size, ours.code) != (theirs.size, theirs.code):
        found = f"the network has size={ours.size}, code={ours.code}, the generator size={theirs.size}, "
        raise ConfigError(f"{found}code={theirs.code}: take the network= and the generator= of one training.")


def _dimensions(state: dict[str, Any]) -> Dimensions:
    return Dimensions(**state.get("dimensions", {}))  # checkpoints of before there were others have none


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
    write_atomically(path, "".join(kept).encode())
