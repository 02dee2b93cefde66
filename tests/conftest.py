"""What every test gains by."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch

import invset  # noqa: F401  # before any test that imports torchvision, as its users do


def pytest_collection_finish() -> None:
    """What was imported stays, so collections of garbage need not walk it; whoever runs out of memory asks for some."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def float64() -> Iterator[None]:
    """All of a method's numbers in float64: for tests that compare runs which round differently."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
