"""What every test gains by."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """What was imported stays, so collections of garbage need not walk it; whoever runs out of memory asks for some."""
    gc.collect()
    gc.freeze()
