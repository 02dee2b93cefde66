"""PyTorch's files, .safetensors and .pt or .pth, and modules that are filled from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn

from invset.errors import WeightsError
from invset.weights.formats import kind, opened

Module = TypeVar("Module", bound=nn.Module)

WRAPPERS = ("state_dict", "model")  # keys under which training programs save the tensors
PARALLEL = "module."  # what nn.DataParallel puts before each name
COUNTS = "num_batches_tracked"  # of a BatchNorm: files from before PyTorch 0.4.1 have none, and only training asks


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU, each of its dtype in the file: safetensors or torch.save's, by its content.

    A state dict under "state_dict" or "model" is taken out, and DataParallel's "module." taken off. Nothing in the
    file is run. The tensors are copies: the file may change while they are in use.

    Raises:
        WeightsError: the file is missing, damaged, of another kind, or holds more than tensors by name.
    """
    found = kind(path)
    if found not in ("safetensors", "torch"):
        raise WeightsError(f"{path}: is no file of PyTorch's tensors (safetensors, .pt or .pth). Give the path of one.")
    state = read_safetensors(path)[0] if found == "safetensors" else _read_torch(Path(path))
    if all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return state


def read_safetensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Name -> tensor, on the CPU, and the file's metadata.

    Raises:
        WeightsError: the file is missing, damaged or no safetensors.
    """
    with opened(Path(path)):
        try:
            with safe_open(path, framework="pt") as file:
                names = file.keys()
                # A clone, as the tensors are the file itself, mapped: cut short later, it would crash the interpreter.
                return {name: file.get_tensor(name).clone() for name in names}, file.metadata() or {}
        except Exception as error:  # a SafetensorError, or what torch raises for shapes and types that it has not
            raise ValueError(f"cannot be read as safetensors ({type(error).__name__}: {str(error)[:100]})") from error


def fill(
    build: Callable[[], Module],
    state: dict[str, Tensor],
    path: str | Path,
    advice: str,
    called: Callable[[str], str] = str,
) -> Module:
    """The module that `build` makes, with these tensors as its own, in eval mode, without gradients.

    It is built without memory first, so that a file cannot ask for more than it fills; and once more if it has buffers
    that no file carries, and that `build` does not put on the CPU itself. Floating point becomes of the module's dtype.

    Args:
        build: makes the module; the global random state is left as it was.
        state: every parameter and buffer by name; a BatchNorm's count of batches may be left out.
        path: of the file, for the message.
        advice: what to do if it does not fit.
        called: what the message calls a tensor, from its name.

    Raises:
        WeightsError: a name, a shape or a type differs; the message tells the first.
    """
    with torch.device("meta"):
        module = build()
    wanted = module.state_dict()
    state = {name: torch.tensor(0) for name in wanted if name.endswith(COUNTS)} | state
    for name in [*wanted, *state]:
        expected, found = _described(wanted.get(name)), _described(state.get(name))
        if expected != found:
            raise WeightsError(f"{path}: {called(name)} should be {expected}, is {found}. {advice}")
    if any(buffer.is_meta for name, buffer in module.named_buffers() if name not in wanted):
        with torch.random.fork_rng(devices=[]):
            module = build()
    module.load_state_dict({name: value.to(wanted[name].dtype) for name, value in state.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _read_torch(path: Path) -> dict[str, Tensor]:
    with opened(path):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file the unpickler may raise nearly any; torch's words do not help
            raise ValueError(
                "cannot be read by torch.load, or holds more than tensors by name, of which nothing is run "
                f"({type(error).__name__}): of a whole model, save model.state_dict()"
            ) from error
        for key in WRAPPERS:
            if isinstance(content, dict) and isinstance(content.get(key), dict):
                content = content[key]
        if not isinstance(content, dict) or not content:
            raise ValueError("holds no tensors by name")
        for name, value in content.items():
            if not isinstance(name, str) or not isinstance(value, Tensor):
                raise ValueError(f"holds more than tensors by name: {str(name)[:50]!r} is a {type(value).__name__}")
        return {name: value.detach() for name, value in content.items()}


def _described(value: Tensor | None) -> str:
    if value is None:
        return "absent"
    return f"{tuple(value.shape)}" + ("" if value.is_floating_point() else f" of {value.dtype}")
