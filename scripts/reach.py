r"""How often does the default schedule deliver? Random units, ranges that `invset probe` suggests, n samples each.

    python scripts/reach.py --pairs 50 --output outputs/reach
    python scripts/reach.py --pairs 20 --n 100 --network torchvision --layers layer2 layer4 logits \
        --probe codes=64 chains=5 -- network.name=resnet50

Writes one run folder a pair and a table, reach.csv; the last line counts the pairs that delivered all n.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

from invset.assemble.models import build_models
from invset.cli import main
from invset.cli.compose import compose
from invset.survey import survey

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
    parser.add_argument("--network", default="mini", help="a config of configs/network")
    parser.add_argument("--layers", nargs="+", default=["conv3", "conv4", "conv5", "fc6", "fc7", "fc8"])
    parser.add_argument("--output", type=Path, default=Path("outputs/reach"))
    parser.add_argument("--probe", nargs="*", default=[], help="settings of invset probe alone, as codes=64 chains=5")
    parser.add_argument("--sample", nargs="*", default=[], help="settings of invset sample alone, as method=paper")
    parser.add_argument("overrides", nargs="*", help="settings of both invset probe and invset sample")
    arguments = parser.parse_args()

    drawn = random.Random(arguments.seed)
    common = [f"network={arguments.network}", f"seed={arguments.seed}", *arguments.overrides]
    settings = compose("probe", [*common, *arguments.probe])
    network = build_models(settings, ()).network
    arguments.output.mkdir(parents=True, exist_ok=True)
    delivered = pairs = 0
    with (arguments.output / "reach.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        while pairs < arguments.pairs:  # again for those that nothing was reachable of
            layers = [arguments.layers[number % len(arguments.layers)] for number in range(pairs, arguments.pairs)]
            units = list(dict.fromkeys(f"{layer}:{drawn.randint(1, network.units(layer))}" for layer in layers))
            surveys = survey(settings, build_models(settings, tuple(units)))  # of all, to look at natural codes once
            for unit, ranges in zip(units, [each.ranges for each in surveys], strict=True):
                if not ranges:
                    print(f"{unit}: probe calls nothing reachable; another unit is drawn", flush=True)
                    continue
                low, high = drawn.choice(ranges)
                folder = arguments.output / f"{pairs:02d}-{unit.replace(':', '-')}"
                own = [f"neuron={unit}", f"range=[{low},{high}]", f"n={arguments.n}", *arguments.sample]
                main.run(["sample", *common, *own, f"hydra.run.dir={folder}"])
                summary = json.loads((folder / "summary.json").read_text())
                table.writerow([unit, low, high, *(summary.get(name) for name in COLUMNS[3:])])
                file.flush()
                pairs += 1
                delivered += summary["samples"] >= arguments.n
    print(f"{delivered} of {pairs} pairs delivered all {arguments.n} samples")


if __name__ == "__main__":
    run()
