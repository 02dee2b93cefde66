"""What half precision and channels last do: to activations, to who is in range, and to the time of a pass.

    python scripts/precision.py                    # CaffeNet with the fc6 generator at full size, random weights
    python scripts/precision.py --device cuda --settings float32-last tf32 tf32-last bfloat16-last float16-last

Errors are of 64 codes. A layer's is the largest difference from float32 over the largest activation. In range: of the
pairs of code and unit that are in range in this precision, those that are not in float32; a unit's range goes from the
40th to the 90th percentile of its activations. Times are taken in turn, as ratios to float32's.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

from invset.assemble.device import prepare_torch
from invset.assemble.models import Models, build_models
from invset.cli.compose import compose
from invset.models.reader import Reader

LAYERS = ("conv1", "norm1", "conv5", "fc6", "fc8")
SETTINGS = ("float32", "float32-last", "bfloat16", "bfloat16-last")
CODES, BATCH = 64, 16


def main() -> None:
    """Print a table, a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help="precisions; -last: channels last in memory")
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    codes = 12 * torch.randn(CODES, 4096, generator=torch.Generator().manual_seed(0)).abs().clamp(max=2.5)
    codes = codes.to(arguments.device)
    models = {setting: _build(setting, arguments.device) for setting in ("float32", *arguments.settings)}
    seconds: dict[str, list[float]] = {setting: [] for setting in models}
    for _ in range(arguments.repeats + 1):
        for setting, built in models.items():
            prepare_torch(arguments.device, None, setting.partition("-")[0])
            seconds[setting].append(_seconds(built, codes[: arguments.chains]))
    prepare_torch(arguments.device, None)
    exact = _activations(models["float32"], codes)
    print(f"torch {torch.__version__}, {arguments.device}, {torch.get_num_threads()} threads\n")
    print(f"| | {' | '.join(f'error of {layer}' for layer in LAYERS)} | out of range in float32 | time / float32 |")
    print(f"|---{'|---' * len(LAYERS)}|---|---|")
    for setting in arguments.settings:
        prepare_torch(arguments.device, None, setting.partition("-")[0])
        found = _activations(models[setting], codes)
        errors = [float((found[layer] - exact[layer]).abs().max() / exact[layer].abs().max()) for layer in LAYERS]
        pairs = zip(seconds[setting][1:], seconds["float32"][1:], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        cells = [*(f"{error:.1e}" for error in errors), f"{_leaving(found['fc8'], exact['fc8']):.1%}", f"{ratio:.2f}"]
        print(f"| {setting} | {' | '.join(cells)} |", flush=True)


def _build(setting: str, device: str) -> Models:
    precision, _, last = setting.partition("-")
    models = ["network=caffenet", "network.weights=random", "generator=ppgn", "generator.weights=random"]
    placed = [f"device={device}", f"precision={precision}", f"channels_last={bool(last)}"]
    return build_models(compose("probe", [*models, *placed]), ("fc8:981",))


def _activations(models: Models, codes: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        parts = [models.network.read(LAYERS, models.generator(batch)) for batch in codes.split(BATCH)]
    return {layer: torch.cat([part[layer] for part in parts]) for layer in LAYERS}


def _seconds(models: Models, codes: Tensor) -> float:
    """Of a forward and backward pass."""
    reader = Reader(models.network, models.units, models.encoder)
    leaf = codes.clone().requires_grad_(True)
    begin = time.perf_counter()
    outputs = reader(models.generator(leaf))
    (gradient,) = torch.autograd.grad(outputs, leaf, [torch.ones_like(output) for output in outputs])
    gradient.sum().item()  # waits for the device
    return time.perf_counter() - begin


def _leaving(found: Tensor, exact: Tensor) -> float:
    low, high = exact.quantile(torch.tensor([0.4, 0.9], device=exact.device), dim=0)
    inside = (found >= low) & (found <= high)
    outside = (exact < low) | (exact > high)
    return float((inside & outside).sum() / inside.sum())


if __name__ == "__main__":
    main()
