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
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench_step import MODELS, begin_table, print_row, seconds, set_up, step, variants
from invset.assemble.device import PRECISIONS, prepare_torch
from invset.assemble.running import Run
from invset.assemble.sampling import Sampling
from invset.core.paper import Paper
from invset.core.problem import Counts, Evaluation, Passes, PullBack, round_to_eight_bits
from invset.models.reader import Reader
from invset.run.folder import RunFolder
from invset.run.summary import peak_memory
from invset.settings import SampleSettings
from literal import Literal, mean_distance, record_one_by_one

INVSET = (sys.executable, "-c", "from invset.cli.main import main; main()")
FIRST_STEP = """
import json, time
start = time.perf_counter()
from invset.assemble.sampling import assemble
from invset.cli.compose import compose
imported = time.perf_counter()
settings = compose("sample", ["method=paper", "device={device}"])
composed = time.perf_counter()
sampling = assemble(settings)
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
    parser.add_argument(
        "--settings",
        nargs="*",
        default=["range=[50,60]"],
        help="of invset sample, in every run (range=[50,60])",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10000], help="n of full")
    parser.add_argument("--steps", type=int, default=1, help="of full")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--full-size", type=int, help=argparse.SUPPRESS)  # one n of full, in a process of its own
    arguments = parser.parse_args()
    device = prepare_torch(arguments.device, arguments.threads)
    if arguments.full_size:
        print(json.dumps(_full_size(arguments, arguments.full_size)))
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}")
    for row in arguments.rows:
        ROWS[row](arguments)


def _run(settings: SampleSettings, sampling: Sampling, literal: bool = False) -> Turn:
    """From the first start to the last file."""
    start, cpu = perf_counter(), process_time()
    with (
        tempfile.TemporaryDirectory() as path,
        RunFolder.create(Path(path) / "run", "", {}) as folder,
        closing(Run(settings, sampling, folder)) as run,
    ):
        if literal:
            record_one_by_one(run.recorder)
        for _ in run.steps():
            pass
        outcome = run.finish()
        if literal:
            mean_distance(run.recorder.encodings)
        return Turn(perf_counter() - start, process_time() - cpu, outcome)


def _run_literal(settings: SampleSettings, sampling: Sampling, one_by_one: bool) -> Turn:
    models, method = sampling.models, sampling.method
    encode, reader = models.encoder, Reader(models.network, models.units)
    assert isinstance(method, Paper)
    assert encode is not None

    def generate(codes: Tensor) -> Tensor:
        return round_to_eight_bits(models.generator(codes))

    def activate(images: Tensor) -> Tensor:
        return reader(images)[1]

    def read(images: Tensor) -> tuple[Tensor, Tensor]:
        return encode(images), activate(images)

    literal = Literal(method, generate, encode, activate, one_by_one)
    return _run(settings, replace(sampling, method=literal, reader=read), literal=True)  # type: ignore[arg-type]


def _print_whole(arguments: argparse.Namespace) -> None:
    begin_table(
        f"whole: method=paper, n = {arguments.n}, from loaded weights to the last file; median of {arguments.runs}",
        "models", "seconds", "CPU s", "steps for seeds, samples", "passes: forward, backward, saved", "samples",
    )  # fmt: skip
    for name, overrides in variants(arguments):
        turns = [_run(*set_up(arguments, *overrides, f"n={arguments.n}")) for _ in range(arguments.runs)]
        times = f"{_median(turns).seconds:.2f}", f"{_median(turns).cpu:.2f}"
        print_row(name, *times, *_counts(turns), turns[0].outcome["samples"])


def _print_run(arguments: argparse.Namespace) -> None:
    begin_table(
        f"run: n = {arguments.n}, median of {arguments.runs} in turn",
        "", "seconds", "CPU s", "steps for seeds, samples", "passes: forward, backward, saved", "/ ours", "CPU / ours",
    )  # fmt: skip
    paper = ("method=paper", f"n={arguments.n}")
    as_torch_has_it = (*paper, "channels_last=false")
    kinds: dict[str, Callable[[], Turn]] = {
        "ours": lambda: _run(*set_up(arguments, *paper)),
        "literal, K at once": lambda: _run_literal(*set_up(arguments, *as_torch_has_it), one_by_one=False),
        "literal, one by one": lambda: _run_literal(*set_up(arguments, *as_torch_has_it), one_by_one=True),
    }
    rows: dict[str, list[Turn]] = {name: [] for name in kinds}
    for _ in range(arguments.runs):
        for name, run in kinds.items():
            rows[name].append(run())
    for name, turns in rows.items():
        wall, cpu = _ratios(turns, rows["ours"], lambda turn: 1)
        times = f"{_median(turns).seconds:.1f}", f"{_median(turns).cpu:.1f}"
        print_row(name, *times, *_counts(turns), f"{wall:.2f}", f"{cpu:.2f}")


def _counts(turns: list[Turn]) -> tuple[str, str]:
    outcome = turns[0].outcome
    passes = ", ".join(str(count) for count in outcome["passes"].values())
    return f"{outcome['seed_steps']}, {outcome['sampling_steps']}", passes


def _median(turns: list[Turn]) -> Turn:
    wall, cpu = statistics.median(turn.seconds for turn in turns), statistics.median(turn.cpu for turn in turns)
    return Turn(wall, cpu, turns[0].outcome)


def _ratios(turns: list[Turn], ours: list[Turn], per: Callable[[Turn], float]) -> tuple[float, float]:
    """Seconds, and seconds of CPU, per what `per` counts, against ours; the median over turns."""
    pairs = list(zip(turns, ours, strict=True))
    wall = statistics.median(a.seconds / per(a) / (b.seconds / per(b)) for a, b in pairs)
    return wall, statistics.median(a.cpu / per(a) / (b.cpu / per(b)) for a, b in pairs)


def _print_ppgn(arguments: argparse.Namespace) -> None:
    begin_table(
        f"ppgn: K = {arguments.chains}, ours until n = {arguments.n}, PPGN 200 steps as shipped; median in turn",
        "", "in range as saved", "of images looked at", "samples/s", "passes a sample", "s a sample / ours",
        "CPU / ours",
    )  # fmt: skip
    own = {
        "paper": [f"n={arguments.n}"],
        "multistart": [f"n={arguments.n}"],
        "multistart, starts=mixed": [f"n={arguments.n}", "starts=mixed", "fill=any"],
        "ppgn": ["n=1000000"],
    }
    rows: dict[str, list[Turn]] = {title: [] for title in own}
    for _ in range(arguments.runs):
        for title, turns in rows.items():
            turns.append(_run(*set_up(arguments, f"method={title.partition(',')[0]}", *own[title])))
    for method, turns in rows.items():
        outcome, wall = turns[0].outcome, _median(turns).seconds
        samples, passes = outcome["samples"], sum(outcome["passes"].values())
        looked = outcome["passes"]["forward"]
        if not samples:
            closest = ", ".join(f"{value:.3g}" for value in outcome["closest"]["activations"])
            print_row(method, 0, looked, 0, "-", f"none in {wall:.0f} s; closest {closest}", "-")
            continue
        ratios = _ratios(turns, rows["paper"], lambda turn: turn.outcome["samples"])
        each = f"{samples / wall:.2f}", f"{passes / samples:.1f}"
        print_row(method, samples, looked, *each, *(f"{ratio:.2f}" for ratio in ratios))


def _print_full(arguments: argparse.Namespace) -> None:
    begin_table(
        f"full: eq. 16, {arguments.steps} steps, trace and checkpoint written, a process each",
        "n", "s a step and sample", "CPU s a step and sample", "peak memory, MB", "memory / first",
    )  # fmt: skip
    first = 0.0
    own = ["--steps", str(arguments.steps), "--device", arguments.device, "--settings", *arguments.settings]
    own += ["--threads", str(arguments.threads)] if arguments.threads else []
    for size in arguments.sizes:
        command = [sys.executable, __file__, "--full-size", str(size), *own]
        wall, cpu, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        first = first or peak
        print_row(size, f"{wall:.4f}", f"{cpu:.4f}", f"{peak / 1e6:.0f}", f"{peak / first:.2f}")


def _full_size(arguments: argparse.Namespace, n: int) -> tuple[float, float, int]:
    """Seconds and seconds of CPU, a step and sample; the process's peak memory."""
    settings, sampling = set_up(arguments, "method=full", f"n={n}")
    with (
        tempfile.TemporaryDirectory() as path,
        RunFolder.create(Path(path) / "run", "", {}) as folder,
        closing(Run(settings, sampling, folder)) as run,
    ):
        run.recorder.state = sampling.method.begin()
        steps, cpu = run.steps(), process_time()
        wall = sum(seconds(lambda: next(steps), sampling.models.device) for _ in range(arguments.steps))
        cpu = process_time() - cpu
    return wall / arguments.steps / n, cpu / arguments.steps / n, peak_memory()


class Timed:
    """Passes, and the seconds that they have taken."""

    def __init__(self, passes: Passes, device: torch.device) -> None:
        self.passes, self.device, self.seconds = passes, device, 0.0
        self.counts: Counts = passes.counts

    def time(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same, and its time is counted."""

        def timed(*given: Any) -> Any:
            results: list[Any] = []
            self.seconds += seconds(lambda: results.append(work(*given)), self.device)
            return results[0]

        return timed

    def evaluate(self, codes: Tensor) -> Evaluation:
        """Without a gradient."""
        evaluation: Evaluation = self.time(self.passes.evaluate)(codes)
        return evaluation

    def linearise(self, codes: Tensor, keep_images: bool = True) -> tuple[Evaluation, PullBack]:
        """With one, whose time counts too."""
        evaluation, pull_back = self.time(self.passes.linearise)(codes, keep_images)
        return evaluation, self.time(pull_back)


def _print_outside(arguments: argparse.Namespace) -> None:
    shares = []
    for _ in range(arguments.runs):
        settings, sampling = set_up(arguments, "method=paper", f"n={arguments.n}")
        timed = Timed(sampling.problem.passes, sampling.models.device)
        sampling.problem.passes = timed
        whole = _run(settings, replace(sampling, reader=timed.time(sampling.reader))).seconds  # type: ignore[arg-type]
        shares.append(1 - timed.seconds / whole)
    print(
        f"\noutside: {statistics.median(shares):.1%} of a run of n = {arguments.n} is spent outside the networks "
        f"({', '.join(f'{share:.1%}' for share in shares)}): sums, steps, files, grids, summary",
        flush=True,
    )


def _print_start(arguments: argparse.Namespace) -> None:
    def timed(command: tuple[str, ...]) -> float:
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True), torch.device("cpu"))

    inner = (sys.executable, "-c", FIRST_STEP.replace("{device}", arguments.device))
    rows = []
    for _ in range(arguments.runs):
        inside = json.loads(subprocess.run(inner, check=True, capture_output=True, text=True).stdout)
        rows.append([timed((*INVSET, "--version")), timed((*INVSET, "sample", "--help")), *inside])
    begin_table(
        f"start: seconds, median of {arguments.runs}",
        "invset --version", "invset sample --help", "imports", "networks and weights", "starts, scales, first step",
    )  # fmt: skip
    print_row(*(f"{statistics.median(column):.2f}" for column in zip(*rows, strict=True)))


ROWS: dict[str, Callable[[argparse.Namespace], None]] = {
    "step": step, "whole": _print_whole, "run": _print_run, "ppgn": _print_ppgn, "full": _print_full,
    "outside": _print_outside, "start": _print_start,
}  # fmt: skip


if __name__ == "__main__":
    main()
