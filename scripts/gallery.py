"""One picture of several units at several ranges: a row a unit, a few samples a range, the range under them.

    python scripts/gallery.py --output docs/images/classes.png 'fc8:goldfish [35,40] [50,60]' 'fc8:alp [26,30] [37,42]'

Runs `invset sample` for each, in folders beside the picture (FILE-runs/), which are used again if they are there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from invset.api import load
from invset.cli import main
from invset.run.sheet import save_grid


def run() -> None:
    """Sample what is missing, then write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="+", metavar="'UNIT RANGE ...'")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--title", default="")
    parser.add_argument("--n", type=int, default=60, help="samples of a run")
    parser.add_argument("--show", type=int, default=4, help="of them, spread over the run, in the picture")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="further settings of invset sample")
    arguments = parser.parse_args()

    runs = arguments.output.with_name(f"{arguments.output.stem}-runs")
    images, captions = [], []
    columns = arguments.show * max(len(row.split()) - 1 for row in arguments.rows)
    for row in arguments.rows:
        unit, *ranges = row.split()
        for interval in ranges:
            folder = runs / f"{unit.replace(':', '-')}-{interval.strip('[]').replace(',', '-')}"
            if not (folder / "summary.json").exists():
                settings = [f"neuron={unit}", f"range={interval}", f"n={arguments.n}", *arguments.set]
                if code := main.run(["sample", *settings, f"hydra.run.dir={folder}"]):
                    sys.exit(code)
            samples = load(folder).images
            shown = samples[:: max(1, len(samples) // arguments.show)][: arguments.show]
            images += [*shown]
            label = unit.split(":")[-1].replace("_", " ")
            captions += [f"{unit if label.isdigit() else label} {interval}", *[""] * (len(shown) - 1)]
    save_grid(arguments.output, images, captions, arguments.title, columns)


if __name__ == "__main__":
    run()
