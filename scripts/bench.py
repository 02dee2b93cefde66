r"""What this costs, against what it could cost: the rows of BENCHMARKS.md, all of them or some.

    python scripts/bench.py                            # all, about half an hour of two cores
    python scripts/bench.py --rows step --models mini --repeats 50
    python scripts/bench.py --rows full --sizes 100 1000
    python scripts/bench.py --device cuda --precision float32 tf32 bfloat16 --compile none graphs

`step`: a sampling step against the bare forward and backward pass of the same networks. `whole`: seconds of a whole
run, images written; both for each of --models, --precision and --compile. `run`: a whole run against the paper as one
would first write it down (scripts/literal.py). `ppgn`: samples a second and passes a sample, against PPGN at the same
batch. `full`: eq. 16 at growing n, a process each. `outside`: the share of a run's time outside the networks.
`start`: from the command to the first step. Machines are noisy: what is compared is measured in turn, and ratios are
taken pair by pair.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bench_step import MODELS, named, seconds, step, variants
from invset.cli import app, build, check, schema
from invset.cli.build import Sampling
from invset.cli.device import PRECISIONS, prepare_torch
from invset.core.fused import Fused
from invset.core.paper import Paper
from invset.models.reader import Reader
from invset.run import summary
from invset.run.folder import RunFolder
from invset.run.recorder import Recorder
from invset.run.runner import Runner
from invset.run.summary import peak_memory
from literal import Literal, OneByOne, mean_distance

INVSET = (sys.executable, "-c", "from invset.cli.main import main; main()")
WHOLE = {
    "mini": ["range=[50,60]"],
    "caffenet": [
        "network=caffenet", "network.weights=random", "generator=ppgn", "generator.weights=random", "neuron=fc8:981",
        "range=[40,60]",
    ],
}  # fmt: skip
FIRST_STEP = """
import json, time
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
start = time.perf_counter()
from invset.cli import app, build, check, schema
imported = time.perf_counter()
schema.register()
with initialize_config_dir(str(app.config_folder()), version_base="1.3"):
    config = OmegaConf.to_object(compose("sample", ["method=paper", "device={device}"]))
composed = time.perf_counter()
sampling = build.sampling(config, check.check_sample(config))
built = time.perf_counter()
sampling.method.step(sampling.method.begin())
stepped = time.perf_counter()
print(json.dumps([imported - start, built - composed, stepped - built]))
"""


class Turn(NamedTuple):
    """A whole run: seconds, seconds of CPU (which others on the machine disturb less), and its summary."""

    seconds: float
    cpu: float
    outcome: dict[str, Any]


def main() -> None:
    """Print a table for each row asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="of step, whole")
    parser.add_argument("--precision", nargs="+", choices=list(PRECISIONS), default=["float32"], help="of step, whole")
    parser.add_argument(
        "--compile", nargs="+", choices=["none", "graphs", "inductor"], default=["none"], help="the same"
    )
    parser.add_argument("--chains", type=int, default=10, help="K")
    parser.add_argument("--repeats", type=int, default=20, help="pairs of step")
    parser.add_argument("--runs", type=int, default=3, help="of whole, run, ppgn, outside, start")
    parser.add_argument("--n", type=int, default=500, help="samples of whole, run, ppgn, outside")
    parser.add_argument("--settings", nargs="*", default=[], help="of invset sample, in every run: 'range=[20,30]'")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000], help="n of full")
    parser.add_argument("--steps", type=int, default=1, help="of full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--full-size", type=int, help=argparse.SUPPRESS)  # one n of full, in a process of its own
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.full_size:
        print(json.dumps(_full_size(arguments, arguments.full_size)))
        return
    device = prepare_torch(arguments.device, None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}")
    for row in arguments.rows:
        ROWS[row](arguments)


def _sampler(arguments: argparse.Namespace, *overrides: str) -> Sampling:
    """As `invset sample` builds it."""
    schema.register()
    settings = [f"device={arguments.device}", f"schedule.K={arguments.chains}", *arguments.settings, *overrides]
    with initialize_config_dir(str(app.config_folder()), version_base="1.3"):
        config = OmegaConf.to_object(compose("sample", settings))
    assert isinstance(config, schema.SampleConfig)
    return build.sampling(config, check.check_sample(config))


def _whole(sampling: Sampling, n: int, literal: bool = False) -> Turn:
    """From the first start to the last file."""
    models, reader = sampling.models, sampling.reader
    units = [str(unit) for unit in models.units]
    if literal:
        assert models.encoder is not None
        encode, activate = models.encoder, Reader(models.network, models.units)
        reader = lambda images: (encode(images), activate(images)[1])  # type: ignore[assignment] # noqa: E731
    kind = OneByOne if literal else Recorder
    with tempfile.TemporaryDirectory() as path:
        start, cpu = time.perf_counter(), time.process_time()
        with RunFolder.create(Path(path) / "run", "n: 1\n", {}) as folder:
            size = models.generator.code_size
            recorder = kind(folder, units, size, reader, sampling.region, models.device)
            seeds = lambda info: summary.write_seeds(recorder, info, "seeds")  # noqa: E731
            ahead = models.device.type != "cpu"  # as the command does
            runner = Runner(sampling.method, sampling.problem, recorder, n, seeds, ahead=ahead)
            for _ in runner.steps():
                pass
            recorder.close()
            distance = runner.state.distances.encodings if runner.state else math.nan
            outcome = summary.summarise(recorder, runner.state, runner.tally, n, runner.status, distance)
            if literal:
                mean_distance(recorder.encodings)
            summary.write_codes(recorder, size)
            summary.write_samples(recorder, units, "samples")
            folder.write_summary(outcome)
        return Turn(time.perf_counter() - start, time.process_time() - cpu, outcome)


def _literal(arguments: argparse.Namespace, one_by_one: bool) -> Sampling:
    sampling = _sampler(arguments, "method=paper", f"n={arguments.n}", "channels_last=false")  # as torch has it
    ours, models = sampling.method, sampling.models
    assert isinstance(ours, Paper)
    assert models.encoder is not None
    method = Literal(ours.problem, ours.region, ours.schedule, ours.draw, ours.references)
    activate = Reader(models.network, models.units)
    method.encode, method.activate = models.encoder, lambda images: activate(images)[1]
    method.one_by_one = one_by_one
    return replace(sampling, method=method)


def _whole_runs(arguments: argparse.Namespace) -> None:
    print(
        f"\nwhole: method=paper, n = {arguments.n}, from loaded weights to the last file; median of {arguments.runs}\n"
    )
    print("| models | seconds | CPU s | steps for seeds, samples | passes: forward, backward, saved | samples |")
    print("|---|---|---|---|---|---|")
    for model, precision, how in variants(arguments):
        settings = [*WHOLE[model], f"precision={precision}", f"compile={how or 'null'}", "method=paper"]
        turns = []
        for _ in range(arguments.runs):
            sampling = _sampler(arguments, *settings, f"n={arguments.n}")
            if isinstance(fused := sampling.problem.networks, Fused):
                fused.on_failure = lambda reason, how=how: print(f"compile={how}: {reason}")  # type: ignore[misc]
            turns.append(_whole(sampling, arguments.n))
        outcome = turns[0].outcome
        passes = ", ".join(str(count) for count in outcome["passes"].values())
        print(
            f"| {named(model, precision, how)} | {_median(turns, 0):.2f} | {_median(turns, 1):.2f} | "
            f"{outcome['seed_steps']}, {outcome['sampling_steps']} | {passes} | {outcome['samples']} |",
            flush=True,
        )


def _run(arguments: argparse.Namespace) -> None:
    print(f"\nrun: n = {arguments.n}, median of {arguments.runs} in turn\n")
    print("| | seconds | CPU s | steps for seeds, samples | passes: forward, backward, saved | / ours | CPU / ours |")
    print("|---|---|---|---|---|---|---|")
    kinds: dict[str, Callable[[], Turn]] = {
        "ours": lambda: _whole(_sampler(arguments, "method=paper", f"n={arguments.n}"), arguments.n),
        "literal, K at once": lambda: _whole(_literal(arguments, False), arguments.n, literal=True),
        "literal, one by one": lambda: _whole(_literal(arguments, True), arguments.n, literal=True),
    }
    rows: dict[str, list[Turn]] = {name: [] for name in kinds}
    for _ in range(arguments.runs):
        for name, run in kinds.items():
            rows[name].append(run())
    for name, turns in rows.items():
        wall, cpu = _ratios(turns, rows["ours"], lambda turn: 1)
        outcome = turns[0].outcome
        passes = ", ".join(str(count) for count in outcome["passes"].values())
        print(
            f"| {name} | {_median(turns, 0):.1f} | {_median(turns, 1):.1f} | {outcome['seed_steps']}, "
            f"{outcome['sampling_steps']} | {passes} | {wall:.2f} | {cpu:.2f} |",
            flush=True,
        )


def _median(turns: list[Turn], column: int) -> float:
    return statistics.median((turn.seconds, turn.cpu)[column] for turn in turns)


def _ratios(turns: list[Turn], ours: list[Turn], per: Callable[[Turn], float]) -> tuple[float, float]:
    """Seconds, and seconds of CPU, per what `per` counts, against ours; the median over turns."""
    pairs = list(zip(turns, ours, strict=True))
    wall = statistics.median(a.seconds / per(a) / (b.seconds / per(b)) for a, b in pairs)
    return wall, statistics.median(a.cpu / per(a) / (b.cpu / per(b)) for a, b in pairs)


def _ppgn(arguments: argparse.Namespace) -> None:
    print(f"\nppgn: K = {arguments.chains}, ours until n = {arguments.n}, PPGN 200 steps as shipped; median in turn\n")
    print(
        "| | in range as saved | of images looked at | samples/s | passes a sample | s a sample / ours | CPU / ours |"
    )
    print("|---|---|---|---|---|---|---|")
    rows: dict[str, list[Turn]] = {"paper": [], "multistart": [], "ppgn": []}
    for _ in range(arguments.runs):
        for method, turns in rows.items():
            n = arguments.n if method != "ppgn" else 1_000_000
            turns.append(_whole(_sampler(arguments, f"method={method}", f"n={n}"), n))
    for method, turns in rows.items():
        outcome = turns[0].outcome
        samples, passes = outcome["samples"], sum(outcome["passes"].values())
        looked = outcome["passes"]["forward"]
        if not samples:
            closest = ", ".join(f"{value:.3g}" for value in outcome["closest"]["activations"])
            print(
                f"| {method} | 0 | {looked} | 0 | - | none in {_median(turns, 0):.0f} s; closest {closest} | - |",
                flush=True,
            )
            continue
        wall, cpu = _ratios(turns, rows["paper"], lambda turn: turn.outcome["samples"])
        cells = f"{samples / _median(turns, 0):.2f} | {passes / samples:.1f} | {wall:.2f} | {cpu:.2f}"
        print(f"| {method} | {samples} | {looked} | {cells} |", flush=True)


def _full(arguments: argparse.Namespace) -> None:
    print(f"\nfull: eq. 16, {arguments.steps} steps, trace and checkpoint written, a process each\n")
    print("| n | s a step and sample | CPU s a step and sample | peak memory, MB | memory / first |")
    print("|---|---|---|---|---|")
    first = 0.0
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--full-size", str(size), "--steps", str(arguments.steps)]
        command += [
            "--settings",
            *arguments.settings,
            "--device",
            arguments.device,
            *(["--threads", str(arguments.threads)] if arguments.threads else []),
        ]
        wall, cpu, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        first = first or peak
        print(f"| {size} | {wall:.4f} | {cpu:.4f} | {peak / 1e6:.0f} | {peak / first:.2f} |", flush=True)


def _full_size(arguments: argparse.Namespace, n: int) -> tuple[float, float, int]:
    """Seconds and seconds of CPU, a step and sample; the process's peak memory."""
    sampling = _sampler(arguments, "method=full", f"n={n}")
    models, device = sampling.models, sampling.models.device
    with tempfile.TemporaryDirectory() as path, RunFolder.create(Path(path) / "run", "n: 1\n", {}) as folder:
        units = [str(unit) for unit in models.units]
        recorder = Recorder(folder, units, models.generator.code_size, sampling.reader, sampling.region, device)
        recorder.state = sampling.method.begin()
        steps = Runner(sampling.method, sampling.problem, recorder, n).steps()
        cpu = time.process_time()
        wall = sum(seconds(lambda: next(steps), device) for _ in range(arguments.steps))
        cpu = time.process_time() - cpu
        recorder.close()
    return wall / arguments.steps / n, cpu / arguments.steps / n, peak_memory()


def _outside(arguments: argparse.Namespace) -> None:
    shares = []
    for _ in range(arguments.runs):
        sampling = _sampler(arguments, "method=paper", f"n={arguments.n}")
        device, problem, inside = sampling.models.device, sampling.problem, [0.0]

        def timed(work: Callable[..., Any], device: torch.device = device, inside: list[float] = inside) -> Any:
            def call(*given: Any, **options: Any) -> Any:
                results: list[Any] = []
                inside[0] += seconds(lambda: results.append(work(*given, **options)), device)
                return results[0]

            return call

        problem.generate, problem.read = timed(problem.generate), timed(problem.read)
        real = torch.autograd.grad
        torch.autograd.grad = timed(real)
        try:
            read = timed(sampling.reader)
            whole = _whole(replace(sampling, reader=read), arguments.n).seconds
        finally:
            torch.autograd.grad = real
        shares.append(1 - inside[0] / whole)
    print(
        f"\noutside: {statistics.median(shares):.1%} of a run of n = {arguments.n} is spent outside the networks "
        f"({', '.join(f'{share:.1%}' for share in shares)}): sums, steps, files, grids, summary",
        flush=True,
    )


def _start(arguments: argparse.Namespace) -> None:
    def timed(command: tuple[str, ...]) -> float:
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True), torch.device("cpu"))

    inner = (sys.executable, "-c", FIRST_STEP.replace("{device}", arguments.device))
    version, help_, parts = [], [], []
    for _ in range(arguments.runs):
        version.append(timed((*INVSET, "--version")))
        help_.append(timed((*INVSET, "sample", "--help")))
        parts.append(json.loads(subprocess.run(inner, check=True, capture_output=True, text=True).stdout))
    imports, weights, first = (statistics.median(column) for column in zip(*parts, strict=True))
    print(f"\nstart: seconds, median of {arguments.runs}\n")
    print("| invset --version | invset sample --help | imports | networks and weights | starts, scales, first step |")
    print("|---|---|---|---|---|")
    fastest = f"| {statistics.median(version):.2f} | {statistics.median(help_):.2f} "
    print(f"{fastest}| {imports:.2f} | {weights:.2f} | {first:.2f} |", flush=True)


ROWS: dict[str, Callable[[argparse.Namespace], None]] = {
    "step": step, "whole": _whole_runs, "run": _run, "ppgn": _ppgn, "full": _full, "outside": _outside, "start": _start,
}  # fmt: skip


if __name__ == "__main__":
    main()
