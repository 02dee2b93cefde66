"""The site builds without a warning, asks no other server for anything, and all its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import invset
from invset.cli.help import COMMANDS
from invset.settings import SETTINGS, names

ROOT = Path(__file__).resolve().parents[2]


class Page(HTMLParser):
    """What a page holds: anchors, links, and what a browser fetches with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") != "canonical":
            self.fetched.append(values["href"])
        if "src" in values:
            self.fetched.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else ()
            if not parts.scheme and not (target.is_file() and parts.fragment in ("", *anchors)):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_no_page_fetches_anything_from_elsewhere(pages):
    assert [link for page in pages.values() for link in page.fetched if urlsplit(link).netloc] == []


def test_every_link_of_the_repository_leads_to_a_file():
    texts = [path for folder in ("", "docs", "invset/data/mini") for path in (ROOT / folder).glob("*.md")]
    links = [(path, link) for path in texts for link in re.findall(r"\]\(([^)\s#:]+)[#)]", path.read_text("utf-8"))]
    assert links
    assert [f"{path.name}: {link}" for path, link in links if not (path.parent / link).exists()] == []


def test_settings_commands_and_names_are_all_there(site):
    settings, commands, api = ((site / f"{page}.html").read_text("utf-8") for page in ("settings", "commands", "api"))
    chosen = ("network.kind", "generator.kind", "method.name", "method.options")
    sections = ("code", "schedule", "objective")
    for kind in SETTINGS.values():
        for name in names(kind):
            assert f">{name}</code>" in settings or name in (*chosen, *sections), name
    assert all(f'id="invset-{command}"' in commands for command in COMMANDS)
    assert all(f"invset.{name}" in api for name in invset.__all__ if name != "__version__")
