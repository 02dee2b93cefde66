"""How commands write what they print."""

from __future__ import annotations

import pytest

from invset.cli.terminal import write_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.0, "9.0 s"), (26.2, "26 s"), (119.4, "119 s"), (200, "3 min"), (3600, "60 min"),
     (7200, "2 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_write_time(seconds, text):
    assert write_time(seconds) == text
