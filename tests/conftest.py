"""What every test gains by."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """All that was imported stays; so collections of garbage, of which out of memory asks for some, need not walk it."""
    gc.collect()
    gc.freeze()
