"""A toy run that writes a folder as the sampler does: image, journal lines, checkpoint, a step at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

TOY = Path(__file__).with_name("toy.py")


@pytest.fixture
def toy() -> Callable[[Path, int], None]:
    space: dict[str, object] = {"__name__": "toy"}
    exec(compile(TOY.read_text(), str(TOY), "exec"), space)
    return space["run"]  # type: ignore[return-value]


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return read


@pytest.fixture
def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (3, 5, 7), generator=generator).float() / 255
