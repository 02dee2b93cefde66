"""What of the documentation site is made from the code: mkdocs.yml runs this as a hook.

Settings, commands and the Python reference fill the marks `<!-- made: NAME -->` of their pages. Pages that lie outside
docs/ become pages of the site, and links between the two, which are right in the repository, are made right there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import invset
from invset.assemble.methods import METHODS
from invset.cli.help import COMMANDS, describe_command
from invset.core.method import Abilities
from invset.settings import SETTINGS, TYPES, ModelSettings, Takes, default_of, describe_type, walk, write_value

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "PAPER.md": "paper.md",
    "BENCHMARKS.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "invset/data/mini/MODEL_CARD.md": "model-card.md",
}
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
MARK = re.compile(r"<!-- made: (\w+) -->(?:\n.+)*")  # with what stands there for those who read the file itself


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for path, page in OUTSIDE.items():
        text = relink((ROOT / path).read_text("utf-8"), path)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the marks of a page, and turn its links out of docs/ to the pages of the site."""
    if page.file.src_uri in OUTSIDE.values():
        return markdown
    return MARK.sub(lambda mark: MADE[mark[1]](), relink(markdown, f"docs/{page.file.src_uri}"))


def relink(markdown: str, path: str) -> str:
    """The text of a file at `path` in the repository, its links as a page of the site has them."""

    def target(link: re.Match[str]) -> str:
        whole = posixpath.normpath(posixpath.join(posixpath.dirname(path), link[1]))
        return OUTSIDE.get(whole, whole.removeprefix("docs/"))

    return LINK.sub(target, markdown)


def make_settings() -> str:
    """All settings: those that `sample` and `probe` share, those of each command, and each method's own."""
    shared = [name for name, _ in walk(ModelSettings)]
    parts = ["## Models, units, device\n\nOf `invset sample` and `invset probe`.", _list("", walk(ModelSettings))]
    for command, kind in SETTINGS.items():
        builds = issubclass(kind, ModelSettings)
        own = [(name, entry) for name, entry in walk(kind) if not (builds and name in shared)]
        parts.append(f"## invset {command}\n\nTo {COMMANDS[command]}." if not builds else f"## invset {command}")
        parts.append(_list(f"{command}-", own))
    parts.append("## Methods' own settings")
    for name, method in _methods().items():
        if method.Settings is not None:
            own = [(f"method.options.{entry.name}", entry) for entry in fields(method.Settings)]
            parts += [f"### method={name}", _list(f"{name}-", own)]
    return "\n\n".join(parts)


def make_commands() -> str:
    """What --help of each command prints."""
    return "\n\n".join(f"## invset {command}\n\n```text\n{describe_command(command)}\n```" for command in COMMANDS)


def make_api() -> str:
    """The public names, by the part of the package that they are of; mkdocstrings fills them from their docstrings."""
    parts = []
    for title, homes in API.items():
        names = [name for name, home in invset._HOMES.items() if home.startswith(homes)]
        names.sort(key=lambda name: name[0].isupper())  # functions first
        parts.append(f"## {title}")
        parts += [
            f"::: {invset._HOMES[name]}.{name}\n    options: {{heading: invset.{name}, toc_label: {name}}}"
            for name in names
        ]
    return "\n\n".join(parts)


MADE: dict[str, Callable[[], str]] = {"settings": make_settings, "commands": make_commands, "api": make_api}
API = {
    "One call each": ("invset.api", "invset.survey"),
    "Networks and generators": ("invset.models",),
    "Methods and problems": ("invset.core", "invset.passes"),
    "Weights": ("invset.weights",),
    "Errors": ("invset.errors",),
}


def _list(prefix: str, settings: Iterable[tuple[str, Field[Any]]]) -> str:
    """Items of a definition list; a group's choice stands for what its config sets."""
    chosen = ("network.kind", "generator.kind", "method.name")
    shown = [_item(prefix, name, entry) for name, entry in settings if entry.metadata["help"] and name not in chosen]
    return "\n\n".join(shown)


def _item(prefix: str, name: str, entry: Field[Any]) -> str:
    """A setting: what it is, its default, what it takes, and which methods use it, where not all do."""
    default, takes = default_of(entry), entry.metadata.get("takes")
    facts = []
    if default not in ({}, []):
        facts.append(f"default `{entry.metadata['shows'] or write_value(default)}`")
    if isinstance(takes, Takes):
        facts.append(takes.words)
    elif takes:
        facts.append(" or ".join(f"`{choice}`" for choice in takes))
    elif str(entry.type).partition(" | ")[0] in TYPES:
        facts.append(describe_type(str(entry.type)))
    if ability := entry.metadata.get("needs") or entry.metadata.get("used_with"):
        able = [f"`{method}`" for method, kind in _methods().items() if getattr(kind, ability)]
        facts.append(f"used by method {', '.join(able)}")
    words = re.sub(r"(?<!\w)([\w.]+=[\w.:/]*\w|'[^' ]+')", r"`\1`", entry.metadata["help"])
    below = f"\n    <br>{'; '.join(facts)}" if facts else ""
    return f"[`{name}`](#{prefix}{name}){{ #{prefix}{name} }}\n:   {words}{below}"


def _methods() -> dict[str, type[Abilities]]:
    return {name: kind for name, (kind, _) in METHODS.items()}
