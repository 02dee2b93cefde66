"""What tests of a run's folder share."""

from __future__ import annotations

import itertools
import resource
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import pytest
import torch


@pytest.fixture
def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (3, 5, 7), generator=generator).float() / 255


@pytest.fixture(params=[(False,), (True, False), (False, True)], ids=["none", "first", "second"])
def few_threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some threads can be started, in turn, or none."""
    start, can = threading.Thread.start, itertools.cycle(request.param)

    def failing(thread: threading.Thread) -> None:
        if not next(can):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)


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
