"""A checkpoint: tensors and plain values in one safetensors file, replaced whole at every sampling step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from invset.errors import RunFolderError
from invset.run.files import write_atomically

# One key: safetensors writes several in an order that changes from process to process.
_KEY = "invset"


def save(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write tensors (any shape, dtype, device) and `meta`; the old file stays until the new one is whole.

    `meta` holds what JSON can, NaN and infinities too; tuples come back as lists, keys as strings. Equal
    contents give equal bytes.

    Raises:
        RunFolderError: the file cannot be written.
        TypeError: a value of `meta` is not of a type that JSON has.
    """
    write_atomically(path, to_safetensors(_apart(tensors), metadata={_KEY: json.dumps(meta)}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU and bit for bit, and the `meta` that `save` was given.

    Raises:
        RunFolderError: the file is missing, damaged, or not written by `save`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, because what safetensors gives may be a window on the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{path}: there is no checkpoint. The run ended before its first one, or this is no run folder: "
            "start the run anew, or mend the path."
        ) from error
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise RunFolderError(
            f"{path}: cannot be read, or is damaged ({error}). The run cannot go on from it, but its "
            "images and journals are good: start a new run in another folder."
        ) from error
    meta = _json_object(metadata.get(_KEY))
    if meta is None:
        raise RunFolderError(
            f"{path}: a safetensors file, but not one of invset's checkpoints. Put the run's own back, or "
            "start a new run in another folder."
        )
    return tensors, meta


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, copied where they share memory or have gaps, which safetensors refuses; n codes may be large."""
    apart, seen = {}, set()
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        storage = values.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != values.numel() * values.element_size():
            values = values.clone()
        seen.add(values.untyped_storage().data_ptr())
        apart[name] = values
    return apart


def _json_object(text: str | None) -> dict[str, Any] | None:
    try:
        values = json.loads(text or "")
    except ValueError:
        return None
    return values if isinstance(values, dict) else None
