"""How commands write what they print."""

from __future__ import annotations

import pytest
from rich.console import Console

from invset.cli.app import complain
from invset.cli.terminal import say, write_time
from invset.errors import RunFolderError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.0, "9.0 s"), (26.2, "26 s"), (119.4, "119 s"), (200, "3 min"), (3600, "60 min"),
     (7200, "2 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_write_time(seconds, text):
    assert write_time(seconds) == text


def test_control_characters_of_a_file_are_not_printed(capsys):
    say(Console(), "fc8:1 \x1b[2Jgold\x07fish\x9b")
    complain(RunFolderError("run: \x1b]0;title\x07"))
    printed = capsys.readouterr()
    assert printed.out == "fc8:1 ?[2Jgold?fish?\n"
    assert printed.err == "invset: run: ?]0;title?\n"
