"""PAPER.md from what `invset reproduce all` made: its own introduction, then the figures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import paper
from invset.cli.figures.figure import write_index

FIGURE = "## Figure 1. A unit\n\n![Figure 1. A unit](figure.png)\n"


def test_the_page_keeps_its_introduction(tmp_path: Path, monkeypatch) -> None:
    made = tmp_path / "made"
    for name in ("fig1", "mine"):
        (made / name).mkdir(parents=True)
        (made / name / "note.md").write_text(FIGURE)
        Image.new("RGB", (4, 4)).save(made / name / "figure.png")
    write_index(made, "mini", [])
    monkeypatch.setattr(paper, "ROOT", tmp_path)
    (tmp_path / "PAPER.md").write_text(f"# Ours\n\nAs we say.\n\n{paper.LINE}\n\nold\n")
    paper.main(made)
    whole = (tmp_path / "PAPER.md").read_text()
    figures = "\n".join(FIGURE.replace("figure.png", f"docs/images/paper/{name}.jpg") for name in ("fig1", "mine"))
    assert whole.strip() == f"# Ours\n\nAs we say.\n\n{paper.LINE}\n\n{figures}".strip()
    assert {path.name for path in (tmp_path / "docs/images/paper").iterdir()} == {"fig1.jpg", "mine.jpg"}
