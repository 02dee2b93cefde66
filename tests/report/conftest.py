"""Run folders written by hand, line by line, without the program that writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from invset.run.config import write_config
from invset.settings import MethodSettings, SampleSettings


def write_run(folder: Path, levels: torch.Tensor, activations: list[float], unit: str = "fc8:2", range=(1, 3),
              method: str = "paper", **summary) -> Path:  # fmt: skip
    """A run of n images (n, 3, h, w), uint8, with their activations and codes of two entries."""
    (folder / "images").mkdir(parents=True)
    for number, image in enumerate(levels, 1):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / "images" / f"{number:04d}.png")
    lines = [f"sample,chain,step,{unit} computed,{unit} saved,in_range", ",1,0,99,98.5,0"]
    lines += [f"{number},1,{number},{value},{value},1" for number, value in enumerate(activations, 1)]
    (folder / "activations.csv").write_text("\n".join(lines) + "\n")
    codes = torch.arange(2.0 * len(activations)).view(-1, 2)
    save_file({"codes": codes}, folder / "codes.safetensors")
    settings = SampleSettings(neuron=unit, range=list(range), method=MethodSettings(method))
    (folder / "config.yaml").write_text(write_config(settings))
    (folder / "manifest.json").write_text(json.dumps({"units": [f"{unit} goldfish"]}))
    passes = {"forward": 30, "backward": 12, "forward_of_saved_images": 7}
    told = {"status": "complete", "samples": len(activations), "passes": passes, "seconds": 2.5, "acceptance": 0.5}
    (folder / "summary.json").write_text(json.dumps(told | summary))
    return folder


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "run", n: int = 5, random_seed: int = 0, **summary) -> Path:
        generator = torch.Generator().manual_seed(random_seed)
        levels = torch.randint(256, (n, 3, 4, 6), generator=generator, dtype=torch.uint8)
        return write_run(tmp_path / name, levels, [1 + 0.25 * index for index in range(n)], **summary)

    return write
