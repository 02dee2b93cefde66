"""Where and in what numbers networks compute: the device, its precision, the order of maps in memory."""

from __future__ import annotations

import os

import torch

from invset.errors import ConfigError
from invset.models.network import Generator, Network

PRECISIONS = {
    "float32": torch.float32,
    "tf32": torch.float32,  # with products of fewer digits
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def prepare_torch(device: str, threads: int | None, precision: str = "float32") -> torch.device:
    """Set torch to give the same bits each time, and find the device.

    float32 is all of it, everywhere: left to itself, cuDNN's convolutions round their factors to TF32.

    Raises:
        ConfigError: there is no such device here, or the precision is not for it.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is only deterministic with it
    if threads is not None:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.set_deterministic_debug_mode("warn")  # as use_deterministic_algorithms, which imports torch's compiler
    found = find_device(device)
    if found.type == "cpu" and precision == "float16":
        raise ConfigError("precision=float16 is for GPUs, and many times slower on a CPU; give bfloat16 or float32.")
    if found.type != "cuda" and precision == "tf32":
        raise ConfigError(f"precision=tf32 is for GPUs, and the device is {found}; give float32, or bfloat16.")
    return found


def place(model: Network | Generator, device: torch.device, precision: str, channels_last: bool | None = None) -> None:
    """Move a model, in place; `channels_last` None: whichever order is quicker there.

    On a CPU pooling and convolutions are quicker with channels last, and so are a GPU's tensor cores, which plain
    float32 makes no use of. A model that cannot be run so, as one that takes a `view` of its maps, has them as it is.
    """
    last = device.type == "cpu" or precision != "float32"
    model.to(device, PRECISIONS[precision], last if channels_last is None else channels_last)
    if channels_last is None and last and not _runs(model):
        model.to(device, PRECISIONS[precision], False)


def _runs(model: Network | Generator) -> bool:
    """Whether a pass, forward and backward, goes through it."""
    try:
        with torch.enable_grad():
            if isinstance(model, Network):
                given = torch.full((2, *model.input_shape), 0.5, device=model.device, requires_grad=True)
                deepest = list(model.layers)[-1]
                output = model.read([deepest], given)[deepest]
            else:
                device = next((p.device for p in model.module.parameters()), None)
                given = torch.zeros(2, model.code_size, device=device, requires_grad=True)
                output = model(given)
            torch.autograd.grad(output.sum(), given)
    except RuntimeError:
        return False
    return True


def find_device(name: str) -> torch.device:
    """The device of that name; auto is cuda where there is one. Raises ConfigError: there is none."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        if found.type == "mps":
            raise ConfigError(
                f"device={name}: Apple's GPUs lack the 64-bit numbers of sums over samples; use device=cpu."
            )
        torch.zeros(1, device=found).tolist()  # of `meta` only this fails
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise ConfigError(f"device={name}: not to be had here ({reason}). Use device=cpu.") from error
    return found
