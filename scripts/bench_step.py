"""A sampling step against the bare passes of its networks, and against what the device could do; a row of bench.py."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from invset.cli.device import place, prepare_torch
from invset.core.fused import Fused
from invset.core.paper import Paper
from invset.core.problem import Problem
from invset.core.region import Region
from invset.core.seeding import Schedule
from invset.core.state import State
from invset.models.network import Generator, Network
from invset.models.reader import Encoder, Reader
from invset.models.registry import build_generator, build_network
from invset.models.unit import parse_unit
from invset.run.summary import peak_memory

MODELS: dict[str, Callable[[], tuple[Network, Generator]]] = {
    "mini": lambda: (build_network("mini"), build_generator("mini")),
    "caffenet": lambda: (build_network("caffenet", weights="random"), build_generator("ppgn", weights="random")),
}


def variants(arguments: argparse.Namespace) -> Iterator[tuple[str, str, str | None]]:
    """Models, precisions and ways to compile, all with all; what is not to be had here is said by whoever tries it."""
    ways = [None if way == "none" else way for way in arguments.compile]
    yield from product(arguments.models, arguments.precision, ways)


def named(model: str, precision: str, how: str | None) -> str:
    """`caffenet`, `caffenet, tf32, graphs`."""
    return ", ".join([model, *([precision] if precision != "float32" else []), *([how] if how else [])])


def step(arguments: argparse.Namespace) -> None:
    """Print the table."""
    print(f"\nstep: K = {arguments.chains}, median of {arguments.repeats} pairs\n")
    print("| models | step, s | bare pass, s | step / bare | samples/s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    floors = []
    for model, precision, how in variants(arguments):
        device = prepare_torch(arguments.device, None, precision)
        network, generator = MODELS[model]()
        for one in (network, generator):
            place(one, device, precision)
        cells, floor = _row(network, generator, how, arguments.chains, arguments.repeats, _rates(device, precision))
        print(f"| {named(model, precision, how)} {cells}", flush=True)
        floors.append(f"{named(model, precision, how)}: {floor}")
    print("\n" + "\n\n".join(floors), flush=True)


def _rates(device: torch.device, precision: str) -> tuple[float, float]:
    """What the device does in a second: operations of a matrix product, bytes read and written by a copy."""
    side = 8192 if device.type == "cuda" else 1024
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision, torch.float32)
    a = torch.randn(side, side, device=device, dtype=dtype)
    copied = torch.empty(2**28 if device.type == "cuda" else 2**25, dtype=torch.uint8, device=device)
    target = torch.empty_like(copied)
    products = min(seconds(lambda: torch.mm(a, a), device) for _ in range(10))
    copies = min(seconds(lambda: target.copy_(copied), device) for _ in range(10))
    return 2 * side**3 / products, 2 * len(copied) / copies


def _row(
    network: Network, generator: Generator, how: str | None, chains: int, repeats: int, rates: tuple[float, float]
) -> tuple[str, str]:
    device = network.device
    reader = Reader(network, [parse_unit("fc8:2", network)], Encoder(network, "fc6"))
    randomness = torch.Generator().manual_seed(0)
    codes = torch.randn(max(64, chains), generator.code_size, generator=randomness).abs().to(device)
    problem = Problem(generator, reader)
    if how is not None:
        problem.networks = Fused(problem.networks, how, chains)  # type: ignore[arg-type]
        problem.networks.on_failure = lambda reason: print(f"compile={how}: {reason}")
    method, state = _sampling(problem, codes, chains)

    def bare() -> None:
        leaf = codes[:chains].clone().requires_grad_(True)
        outputs = reader(generator(leaf))
        torch.autograd.grad(outputs, leaf, [torch.ones_like(output) for output in outputs])

    samples = 0

    def stepped() -> None:
        nonlocal state, samples
        state, info = method.step(state)
        samples += len(info.samples)

    for _ in range(3):
        bare()
        stepped()
    samples = 0
    pairs = [(seconds(stepped, device), seconds(bare, device)) for _ in range(repeats)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    rate = samples / sum(pair[0] for pair in pairs)
    with FlopCounterMode(display=False) as counted:
        leaf = codes[:chains].clone().requires_grad_(True)
        sum(output.sum() for output in reader(generator(leaf))).backward()  # type: ignore[union-attr]
    parameters = [p for model in (network, generator) for p in model.module.parameters()]
    moved = 2 * sum(p.numel() * p.element_size() for p in parameters)  # read forwards, and again backwards
    floors = counted.get_total_flops() / rates[0], moved / rates[1]
    floor = (
        f"{counted.get_total_flops() / 1e9:.2f} GFLOP a step, at the {rates[0] / 1e12:.3f} TFLOP/s of a matrix product "
        f"here, take {floors[0]:.4f} s, {floors[0] / ours:.0%} of the step; reading all weights twice at the "
        f"{rates[1] / 1e9:.1f} GB/s of a copy takes {floors[1]:.4f} s, {floors[1] / ours:.0%}"
    )
    cells = f"| {ours:.4f} | {theirs:.4f} | {ratio:.3f} | {rate:.0f} | {peak_memory() / 1e6:.0f} |"
    return cells, floor


def _sampling(problem: Problem, codes: Tensor, chains: int) -> tuple[Paper, State]:
    """A method in its sampling phase, with a range about what random codes give."""
    activations = problem.evaluate(codes[:chains]).activations
    spread = float(activations.max() - activations.min())
    region = Region.two_sided([(float(activations.min()) - spread / 2, float(activations.max()) + spread / 2)])
    method = Paper(problem, region.to(codes.device), Schedule(chains=chains), lambda chain, _: codes[chain], codes)
    return method, method.begin()._replace(phase="sampling")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """That work takes, the device's share of it included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
