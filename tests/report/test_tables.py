"""Tables as text: cells, Markdown as another program reads it, and CSV read back."""

from __future__ import annotations

import csv
import io
import math

import pytest
from markdown_it import MarkdownIt

from invset.metrics.estimate import Estimate
from invset.report.tables import Row, csv_line, csv_text, format_value, markdown, markdown_table


def test_cells():
    assert format_value(None) == format_value(math.nan) == "-"
    assert format_value(12345.6) == "12346"
    assert format_value(0.5) == "0.5"
    assert format_value(Estimate(1.0)) == "1"
    assert format_value(Estimate(1.41421, 1.4, 1.42)) == "1.414 [1.4, 1.42]"


def test_csv_has_numbers_in_full():
    rows = [
        Row("x", "x", (Estimate(0.1, 0.05, 1 / 3), 2.0)),
        Row("n", "n", (5.0, None)),
        Row("seen", "", ("a,b", None)),
    ]
    lines = csv_text([{"run": name, **csv_line(rows, index)} for index, name in enumerate("ab")])
    first, second = csv.DictReader(io.StringIO(lines))
    assert first == {"run": "a", "x": "0.1", "x_low": "0.05", "x_high": repr(1 / 3), "n": "5", "seen": "a,b"}
    assert second == {"run": "b", "x": "2", "x_low": "", "x_high": "", "n": "", "seen": ""}


@pytest.mark.parametrize(
    "text", ["conv5_2 [30, 40] a|b *x* <y> $z$ & \\ ~", "_a_ __b__ `c` ![d](e)", "two\nlines", "\x00 日本"]
)
def test_markdown_is_read_as_it_was_written(text):
    printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    (paragraph,) = [token for token in MarkdownIt().parse(markdown(text)) if token.type == "inline"]
    assert "".join(child.content for child in paragraph.children) == printable
    table = MarkdownIt().enable("table").parse(markdown_table(["", text], [["a", text]]))
    cells = [token for token in table if token.type == "inline"]
    assert ["".join(child.content for child in cell.children) for cell in cells] == ["", printable, "a", printable]
