"""What tests of a run's folder share."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest
import torch


@pytest.fixture
def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (3, 5, 7), generator=generator).float() / 255


class FullDisk(Protocol):
    def __call__(self, size: int) -> AbstractContextManager[None]:
        """No file can grow beyond `size` bytes, which the system enforces as it does the end of a disk."""


@pytest.fixture
def full_disk() -> FullDisk:
    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
