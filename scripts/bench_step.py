"""A sampling step against the bare passes of its networks, and against what the device could do; a row of bench.py."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from invset.assemble.sampling import Sampling, assemble
from invset.cli.compose import compose
from invset.run.summary import peak_memory
from invset.settings import SampleSettings

MODELS = {
    "mini": ["range=[50,60]"],
    "caffenet": [
        "network=caffenet", "network.weights=random", "generator=ppgn", "generator.weights=random", "neuron=fc8:981",
        "range=[40,60]",
    ],
}  # fmt: skip


def variants(arguments: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Models, precisions and ways to compile, all with all: a name, as `caffenet, tf32, graphs`, and its overrides."""
    for model, precision, how in product(arguments.models, arguments.precision, arguments.compile):
        name = ", ".join([model, *(word for word in (precision, how) if word not in ("float32", "none"))])
        how = "null" if how == "none" else how
        yield name, [*MODELS[model], f"precision={precision}", f"compile={how}", "method=paper"]


def set_up(arguments: argparse.Namespace, *overrides: str) -> tuple[SampleSettings, Sampling]:
    """Settings of `invset sample`, and what they assemble to; says so where networks cannot be compiled."""
    own = [f"device={arguments.device}", f"schedule.K={arguments.chains}", *arguments.settings]
    settings = compose("sample", [*own, *overrides])
    sampling = assemble(settings)
    if sampling.fused is not None:
        sampling.fused.on_failure = lambda reason: print(f"compile={settings.compile}: {reason}")
    return settings, sampling


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """That work takes, the device's share of it included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def begin_table(title: str, *columns: str) -> None:
    """The title and the head of a table."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|")


def print_row(*cells: Any) -> None:
    """A row of it."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def step(arguments: argparse.Namespace) -> None:
    """Print the table: of steps of codes that are all in range, from the second on."""
    begin_table(
        f"step: K = {arguments.chains}, median of {arguments.repeats} pairs",
        "models", "step, s", "bare pass, s", "step / bare", "samples/s", "peak memory, MB",
    )  # fmt: skip
    floors = []
    for name, overrides in variants(arguments):
        _, sampling = set_up(arguments, *overrides, "range=[-1e6,1e6]")
        state = sampling.method.begin()
        pairs, rate = _measure(sampling, state, arguments.repeats)
        ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(mine / theirs for mine, theirs in pairs)
        memory = f"{peak_memory() / 1e6:.0f}"
        print_row(name, f"{ours:.4f}", f"{bare:.4f}", f"{ratio:.3f}", f"{rate:.0f}", memory)
        floors.append(f"{name}: {_floor(sampling, state.chains.codes, ours)}")
    print("\n" + "\n\n".join(floors), flush=True)


def _measure(sampling: Sampling, state: Any, repeats: int) -> tuple[list[tuple[float, float]], float]:
    """Seconds of a step and of the bare pass, in turn, and samples a second of the steps."""
    codes, device = state.chains.codes, sampling.models.device
    samples = 0

    def take_step() -> None:
        nonlocal state, samples
        state, taken = sampling.method.step(state)
        samples += len(taken.samples)

    def take_pass() -> None:
        _pass(sampling, codes)

    for _ in range(3):
        take_pass()
        take_step()
    samples = 0
    pairs = [(seconds(take_step, device), seconds(take_pass, device)) for _ in range(repeats)]
    return pairs, samples / sum(pair[0] for pair in pairs)


def _pass(sampling: Sampling, codes: Tensor) -> None:
    """Forwards and backwards."""
    leaf = codes.clone().requires_grad_(True)
    outputs = sampling.reader(sampling.models.generator(leaf))
    torch.stack([output.sum() for output in outputs]).sum().backward()  # counted too, as autograd.grad is not


def _floor(sampling: Sampling, codes: Tensor, step: float) -> str:
    """What the arithmetic and the weights of a pass would take at the device's own rates."""
    device, models = sampling.models.device, (sampling.models.network, sampling.models.generator)
    parameters = [parameter for model in models for parameter in model.module.parameters()]
    with FlopCounterMode(display=False) as counted:
        _pass(sampling, codes)
    products, copies = _rates(device, parameters[0].dtype)
    operations = counted.get_total_flops()
    arithmetic = operations / products
    reading = 2 * sum(p.numel() * p.element_size() for p in parameters) / copies  # forwards, and again backwards
    return (
        f"{operations / 1e9:.2f} GFLOP a step, at the {products / 1e12:.3f} TFLOP/s of a matrix product here, take "
        f"{arithmetic:.4f} s, {arithmetic / step:.0%} of the step; reading all weights twice at the "
        f"{copies / 1e9:.1f} GB/s of a copy takes {reading:.4f} s, {reading / step:.0%}"
    )


def _rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """What the device does in a second: operations of a matrix product, bytes read and written by a copy."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=dtype)
    copied = torch.empty(2**28 if device.type == "cuda" else 2**25, dtype=torch.uint8, device=device)
    target = torch.empty_like(copied)
    products = min(seconds(lambda: torch.mm(a, a), device) for _ in range(10))
    copies = min(seconds(lambda: target.copy_(copied), device) for _ in range(10))
    return 2 * side**3 / products, 2 * len(copied) / copies
