"""A state, a NamedTuple of tensors, numbers, NamedTuples and tuples of those, as what a checkpoint holds, and back."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from invset.errors import RunFolderError

State = TypeVar("State", bound=NamedTuple)


def pack(state: NamedTuple, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
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
        elif isinstance(value, tuple):
            values[key] = len(value)
            for number, one in enumerate(value):
                inner_tensors, inner_values = pack(one, f"{key}.{number}.")
                tensors |= inner_tensors
                values |= inner_values
        else:
            values[key] = value
    return tensors, values


def unpack(
    kind: type[State],
    tensors: dict[str, Tensor],
    values: dict[str, Any],
    device: torch.device,
    prefix: str = "",
) -> State:
    """The state that `pack` took apart, its tensors on `device`.

    Raises:
        RunFolderError: an entry is missing: another version wrote the checkpoint.
    """
    fields: dict[str, Any] = {}
    for name, field in get_type_hints(kind).items():
        key = f"{prefix}{name}"
        if get_origin(field) is tuple:
            one, count = get_args(field)[0], values.get(key, 0)  # of runs from before there were several: none
            fields[name] = tuple(unpack(one, tensors, values, device, f"{key}.{i}.") for i in range(count))
        elif field is not Tensor and hasattr(field, "_fields"):
            fields[name] = unpack(field, tensors, values, device, f"{key}.")
        elif field is Tensor and key in tensors:
            fields[name] = tensors[key].to(device)
        elif key in values:
            fields[name] = values[key]
        else:
            raise RunFolderError(
                f"the checkpoint has no '{key}': another version of invset wrote it. Start a new run in another folder."
            )
    return cast(State, kind(**fields))  # type: ignore[call-overload]
