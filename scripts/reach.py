"""How often does the default schedule deliver? Random units, ranges that `invset probe` suggests, n samples each.

    python scripts/reach.py --pairs 50 --output outputs/reach

Writes one run folder a pair and a table, reach.csv; the last line counts the pairs that delivered all n.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

from invset.cli import build, main, probe
from invset.cli.schema import ModelConfig, ProbeConfig
from invset.models.reader import Reader
from invset.models.registry import build_network

COLUMNS = (
    "unit", "low", "high", "samples", "wanted", "seed_steps", "outer_iterations", "sampling_steps", "acceptance",
    "near_duplicate_share", "mean_pairwise_distance", "seconds",
)  # fmt: skip


def run() -> None:
    """Draw the pairs, sample each, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="random seed of the draw and of the runs")
    parser.add_argument("--layers", nargs="+", default=["conv3", "conv4", "conv5", "fc6", "fc7", "fc8"])
    parser.add_argument("--output", type=Path, default=Path("outputs/reach"))
    parser.add_argument("overrides", nargs="*", help="further settings of invset sample")
    arguments = parser.parse_args()

    drawn = random.Random(arguments.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    delivered = pairs = 0
    with (arguments.output / "reach.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        while pairs < arguments.pairs:
            config = ProbeConfig(network=ModelConfig("mini"), generator=ModelConfig("mini"), seed=arguments.seed)
            layer = arguments.layers[pairs % len(arguments.layers)]
            unit = drawn.randint(1, build_network("mini").units(layer))
            models = build.models(config, (f"{layer}:{unit}",))
            (survey,) = probe.survey(config, models, Reader(models.network, models.units))
            ranges = probe.suggested_ranges(survey)
            if not ranges:
                print(f"{layer}:{unit}: probe calls nothing reachable; another unit is drawn", flush=True)
                continue
            low, high = drawn.choice(ranges)
            folder = arguments.output / f"{pairs:02d}-{layer}-{unit}"
            settings = [f"neuron={layer}:{unit}", f"range=[{low},{high}]", f"n={arguments.n}", f"seed={arguments.seed}"]
            main.run(["sample", *settings, f"hydra.run.dir={folder}", *arguments.overrides])
            summary = json.loads((folder / "summary.json").read_text())
            table.writerow([f"{layer}:{unit}", low, high, *(summary[name] for name in COLUMNS[3:])])
            file.flush()
            pairs += 1
            delivered += summary["samples"] >= arguments.n
    print(f"{delivered} of {pairs} pairs delivered all {arguments.n} samples")


if __name__ == "__main__":
    run()
