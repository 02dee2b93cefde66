"""Puts the figures that `invset reproduce all` has made into PAPER.md, under its introduction.

    python scripts/paper.py [outputs/reproduced/mini]

Pictures become docs/images/paper/FIGURE.jpg; what stands above the line in PAPER.md is kept.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LINE = "<!-- All below is written by scripts/paper.py. -->"


def main(made: Path) -> None:
    """Write the page and its pictures."""
    page, folder = ROOT / "PAPER.md", ROOT / "docs" / "images" / "paper"
    folder.mkdir(parents=True, exist_ok=True)
    introduction = page.read_text("utf-8").split(LINE)[0]
    whole = (made / "PAPER.md").read_text("utf-8")
    text = f"\n{whole[whole.index('## ') :]}"  # the page's own introduction stands for what is above
    for link in re.findall(r"\]\((\S+/figure\.png)\)", text):
        target = folder / f"{Path(link).parent.name}.jpg"
        with Image.open(made / link) as picture:
            picture.convert("RGB").save(target, quality=85, optimize=True)
        text = text.replace(f"]({link})", f"]({target.relative_to(ROOT).as_posix()})")
    page.write_text(f"{introduction}{LINE}\n{text}", "utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("outputs/reproduced/mini"), help="as reproduce left it"
    )
    main(parser.parse_args().folder)
