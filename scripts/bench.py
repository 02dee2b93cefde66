"""What a sampling step costs beside a bare forward and backward pass of the same networks, measured in turn.

    python scripts/bench.py                 # mini, and CaffeNet with the fc6 generator at full size (random weights)
    python scripts/bench.py --models mini --repeats 50

Machines are noisy: trust the ratio, taken pair by pair, rather than the seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

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


def main() -> None:
    """Print a table, a row a pair of network and generator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}, K = {arguments.chains}, median of {arguments.repeats} pairs\n")
    print("| models | step, s | bare pass, s | step / bare | samples/s | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    for model in arguments.models:
        print(f"| {model} {_row(*MODELS[model](), arguments.chains, arguments.repeats, device)}", flush=True)


def _row(network: Network, generator: Generator, chains: int, repeats: int, device: torch.device) -> str:
    network.to(device)
    generator.to(device)
    reader = Reader(network, [parse_unit("fc8:2", network)], Encoder(network, "fc6"))
    randomness = torch.Generator().manual_seed(0)
    codes = torch.randn(64, generator.code_size, generator=randomness).abs().to(device)
    problem = Problem(generator, reader)
    method, state = _sampling(problem, codes, chains)

    def bare() -> None:
        leaf = codes[:chains].clone().requires_grad_(True)
        outputs = reader(generator(leaf))
        torch.autograd.grad(outputs, leaf, [torch.ones_like(output) for output in outputs])

    samples = 0

    def step() -> None:
        nonlocal state, samples
        state, info = method.step(state)
        samples += len(info.samples)

    for _ in range(3):
        bare()
        step()
    samples = 0
    pairs = [(_seconds(step, device), _seconds(bare, device)) for _ in range(repeats)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    rate = samples / sum(pair[0] for pair in pairs)
    return f"| {ours:.4f} | {theirs:.4f} | {ratio:.3f} | {rate:.0f} | {peak_memory() / 1e6:.0f} |"


def _sampling(problem: Problem, codes: Tensor, chains: int) -> tuple[Paper, State]:
    """A method in its sampling phase, with a range about what random codes give."""
    activations = problem.evaluate(codes[:chains]).activations
    spread = float(activations.max() - activations.min())
    region = Region.two_sided([(float(activations.min()) - spread / 2, float(activations.max()) + spread / 2)])
    method = Paper(problem, region.to(codes.device), Schedule(chains=chains), lambda chain, _: codes[chain], codes)
    return method, method.begin()._replace(phase="sampling")


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
