"""The notebook: its cells run in order, as a reader would."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import invset

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs" / "notebooks" / "first-steps.ipynb").read_text())


class Notebook:
    """Runs cells in one scope, and shows what a notebook would: of what is displayed, and of a cell's last line."""

    def __init__(self) -> None:
        self.shown: list[Any] = []
        self.scope: dict[str, Any] = {"display": self.display}

    def display(self, value: Any) -> None:
        if value is None:
            return
        self.shown.append(value)
        if hasattr(value, "_repr_png_"):
            with Image.open(io.BytesIO(value._repr_png_())) as picture:
                assert picture.format == "PNG"
        else:
            repr(value)

    def run(self, source: str) -> None:
        *lines, last = ast.parse(source).body
        if not isinstance(last, ast.Expr):
            lines.append(last)
        exec(compile(ast.Module(lines, []), "cell", "exec"), self.scope)
        if isinstance(last, ast.Expr):
            self.display(eval(compile(ast.Expression(last.value), "cell", "eval"), self.scope))


def test_the_notebook(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = Notebook()
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            notebook.run("".join(cell["source"]))
    runs = [one for one in notebook.shown if isinstance(one, invset.Samples)]
    assert [len(run) for run in runs] == [10, 5, 5, 5, 5, 10]
    for run in runs:
        low, high = run.ranges[0]
        assert ((run.activations >= low) & (run.activations <= high)).all()
    assert "say what black and white are" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_notebook_is_kept_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], len({cell["id"] for cell in NOTEBOOK["cells"]})) == (4, len(NOTEBOOK["cells"]))
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
