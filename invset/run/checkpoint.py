"""A checkpoint: a state and what was counted, in one safetensors file, replaced whole at every step.

A state is a NamedTuple of tensors, plain values and NamedTuples of those; its parts are saved by dotted names.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from invset.errors import RunFolderError
from invset.run.json_files import reading

# One key: safetensors writes several in an order that changes from process to process.
_KEY = "invset"


def pack(state: Any, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state's tensors and its plain values, by dotted names."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for name, value in state._asdict().items():
        key = f"{prefix}{name}"
        if isinstance(value, Tensor):
            tensors[key] = value
        elif hasattr(value, "_fields"):
            inner_tensors, inner_values = pack(value, f"{key}.")
            tensors |= inner_tensors
            values |= inner_values
        else:
            values[key] = value
    return tensors, values


def unpack(kind: type, tensors: Mapping[str, Tensor], values: Mapping[str, Any], device: Any, prefix: str = "") -> Any:
    """The state, of type `kind`, that `pack` took apart, its tensors on `device`.

    Raises:
        RunFolderError: an entry is missing: another version, or another method, wrote the checkpoint.
    """
    fields: dict[str, Any] = {}
    for name, annotation in get_type_hints(kind).items():
        key = f"{prefix}{name}"
        if key in tensors:
            fields[name] = tensors[key].to(device)
        elif key in values:
            value = values[key]
            fields[name] = tuple(value) if isinstance(value, list) else value
        elif hasattr(annotation, "_fields"):
            fields[name] = unpack(annotation, tensors, values, device, f"{key}.")
        else:
            raise RunFolderError(
                f"the checkpoint has no '{key}': another version of invset wrote it. Start a new run in another folder."
            )
    return kind(**fields)


def write(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> bytes:
    """A checkpoint's file of tensors (any shape, dtype, device) and `meta`, with a checksum of them.

    `meta` holds what JSON can, NaN and infinities too; tuples come back as lists. Equal contents give equal bytes.
    """
    apart, text = _apart(tensors), json.dumps(meta)
    return to_safetensors(apart, metadata={_KEY: json.dumps([_checksum(apart, text), text])})


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU and bit for bit, and the `meta` that `write` was given.

    Raises:
        RunFolderError: the file is missing, damaged, or not of this version.
    """
    with reading(path), safe_open(path, framework="pt") as file:
        expected, text = json.loads((file.metadata() or {}).get(_KEY, "[0, 0]"))
        # Copies, because what safetensors gives may be a window on the file.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
        meta = json.loads(text)
        if not isinstance(meta, dict) or expected != _checksum(tensors, text):
            raise ValueError("its checksum is another")
    return tensors, meta


def _checksum(tensors: Mapping[str, Tensor], text: str) -> int:
    value = zlib.crc32(text.encode())
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes(), value)
    return value


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, copied where they share memory or have gaps, which safetensors refuses; n codes may be large."""
    apart, storages = {}, set()
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        storage = values.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != values.numel() * values.element_size():
            values = values.clone()
        storages.add(values.untyped_storage().data_ptr())
        apart[name] = values
    return apart
