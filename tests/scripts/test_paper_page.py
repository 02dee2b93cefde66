"""PAPER.md from what `invset reproduce all` made: its own introduction, then the figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from invset.cli.figures.figure import write_index

FIGURE = "## Figure 1. A unit\n\n![Figure 1. A unit](figure.png)\n"
SAID = "The paper's figures are of `method=paper`, where they do not say otherwise."


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    for name in ("fig1", "mine"):
        (folder / name).mkdir(parents=True)
        (folder / name / "note.md").write_text(FIGURE)
        Image.new("RGB", (4, 4)).save(folder / name / "figure.png")
    return folder


def test_the_index_says_by_which_method_the_papers_figures_are_made(made):
    text = write_index(made, "mini", []).read_text()
    assert text.split("\n## ")[0].strip().endswith(SAID)
    assert text.count("## Figure 1.") == 2
    (made / "fig1" / "note.md").unlink()
    assert SAID not in write_index(made, "mini", []).read_text(), "a recipe of one's own has its own method"


def test_the_page_keeps_its_introduction(made, tmp_path, monkeypatch):
    place = Path(__file__).parents[2] / "scripts" / "paper.py"
    spec = importlib.util.spec_from_file_location("paper_page", place)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    (tmp_path / "PAPER.md").write_text(f"# Ours\n\nAs we say.\n\n{script.LINE}\n\nold\n")
    write_index(made, "mini", [])
    script.main(made)
    whole = (tmp_path / "PAPER.md").read_text()
    assert whole.startswith(f"# Ours\n\nAs we say.\n\n{script.LINE}\n\n## Figure 1. A unit\n")
    assert SAID not in whole
    assert "old" not in whole
    assert "](docs/images/paper/fig1.jpg)" in whole
    assert (tmp_path / "docs" / "images" / "paper" / "fig1.jpg").is_file()


def test_the_papers_own_page_says_it_too():
    introduction = (Path(__file__).parents[2] / "PAPER.md").read_text("utf-8").split("<!--")[0]
    assert "All runs below are of `method=paper`" in introduction
