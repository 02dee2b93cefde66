"""Every command and Python block of the documentation is run, or checked, or says why not.

A comment before a block says what is done with it:

    <!-- run -->                            its commands are run, in the order of the page, in an empty folder
    <!-- run: n=8 schedule.K=4 -->          the same, with these settings of sample and probe, to be quick
    <!-- run: ends with 3 -->               the same, and that is the exit code
    <!-- not run: needs a GPU -->           why it is not run

Commands of `invset` without a comment, and those that are not run, are composed, and their settings and units checked.
Python is run unless a comment says why not; a block that begins with `# nets.py` is that file, too.
"""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sys
import webbrowser
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from invset.assemble.sampling import check_targets, parse_neurons
from invset.cli.compose import compose, parse
from invset.cli.help import COMMANDS
from invset.cli.reproduce import parse_arguments
from invset.cli.weights import ACTIONS
from invset.errors import InvsetError
from invset.models.network import Network
from invset.models.registry import build_network
from invset.models.unit import parse_unit
from invset.settings import SETTINGS, check
from tests.cli.conftest import call

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- ((?:not )?run\b[^\n]*) -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS_IN = ("", "bash", "console")  # README's have no language
SHOWN = ("text", "diff", "yaml")
OF_THE_SHELL = {  # what is no command of invset, and why it is not run here
    "python3": "makes an environment",
    ".": "makes an environment",
    "pip": "needs a package index",
    "scripts/check": "runs this test",
    "eval": "sets up the shell",
}
FOLDER = re.compile(r"outputs/\d{4}-\d\d-\d\d/[\d-]+")  # of a finished run that a page takes for granted


class Block(NamedTuple):
    """A fenced block, and what the comment before it says."""

    where: str
    mark: str
    language: str
    text: str

    @property
    def runs(self) -> bool:
        return self.mark.startswith("run") or (self.language == "python" and not self.mark)

    def commands(self) -> Iterator[list[str]]:
        """Each command as its words; of a transcript the lines behind the prompt."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            for command in line.split(" && "):
                if words := shlex.split(command, comments=True):
                    yield words


def read_blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(f"{page.name}:{text[: found.start(2)].count(chr(10)) + 1}", *(part or "" for part in found.groups()))
        for found in BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def named(blocks: list[Block]) -> Any:
    return pytest.mark.parametrize("block", blocks, ids=[block.where for block in blocks])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_read(page):
    fences = re.findall(r"^\s*```", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(read_blocks(page))


@named(BLOCKS)
def test_a_block_is_run_or_checked_or_says_why_not(block):
    assert block.language in (*COMMANDS_IN, *SHOWN, "python")
    if block.language in SHOWN or block.runs:
        return
    if block.mark:
        assert re.fullmatch(r"not run: .+", block.mark)
    assert block.mark or block.language != "python"
    for words in block.commands() if block.language in COMMANDS_IN else ():
        check_words(words)


def check_words(words: list[str]) -> None:
    """Check a command without running it."""
    words = [*itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)]
    if words and words[0] in ("torchrun", "uvx"):
        words = words[words.index("invset") :]
    if not words or words[0] in OF_THE_SHELL:
        return
    if words[0] == "python" and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file()
        return
    assert words[0] == "invset", f"{words[0]}: is neither of invset nor of OF_THE_SHELL"
    command, *arguments = words[1:] or ["help"]
    if command in ("help", "--help", "--version"):
        return
    assert command in COMMANDS
    try:
        check_arguments(command, arguments)
    except InvsetError as error:
        pytest.fail(f"{shlex.join(words)}: {error}")


def check_arguments(command: str, arguments: list[str]) -> None:
    if "--help" in arguments:
        return
    if command == "weights":
        assert arguments[0] in ACTIONS
    elif command == "reproduce":
        parse_arguments(arguments)
    elif command in ("sample", "probe", "units"):
        for overrides in each_job([word for word in arguments if "=" in word]):
            settings = compose(command, overrides)
            if command == "sample":
                check_targets(settings)
            else:
                check(settings)
            if command != "units" and settings.network.kind == "mini":
                for neuron in parse_neurons(settings.neuron):
                    parse_unit(neuron, mini())
    elif command in SETTINGS:
        parse(command, arguments, next(iter(SETTINGS[command].__dataclass_fields__)))


def each_job(overrides: list[str]) -> Iterator[tuple[str, ...]]:
    """The overrides of each job of a sweep."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [text]
        for one, text in zip(parsed, overrides, strict=True)
    ]
    return itertools.product(*choices)


@cache
def mini() -> Network:
    return build_network("mini")


@pytest.fixture
def own_modules(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder whose modules can be imported, and are forgotten after the test."""
    monkeypatch.syspath_prepend(str(here))
    before = set(sys.modules)
    yield here
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(here)):
            del sys.modules[name]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.runs for block in read_blocks(page))], ids=lambda page: page.name
)
def test_a_page_runs_from_top_to_bottom(page, own_modules, mini_run, few_codes, monkeypatch):
    here = own_modules
    monkeypatch.setenv("INVSET_CACHE", str(here / "cache"))
    monkeypatch.setattr(webbrowser, "open", lambda address: True)  # of invset show
    names: dict[str, Any] = {}
    blocks = [block for block in read_blocks(page) if block.runs]
    for folder in {folder for block in blocks for folder in FOLDER.findall(block.text)}:
        shutil.copytree(mini_run, here / folder)
    for block in blocks:
        if block.language == "python":
            if file := re.match(r"# (\w+\.py)\n", block.text):
                Path(file[1]).write_text(block.text)
            exec(compile(block.text, block.where, "exec"), names)
            continue
        quick, _, code = block.mark.removeprefix("run").removeprefix(":").partition("ends with")
        for words in block.commands():
            with monkeypatch.context() as patch:
                while "=" in words[0]:
                    patch.setenv(*words.pop(0).split("=", 1))
                result = call(*in_short(words[1:], quick.split()))
            assert result.code == int(code or 0), f"{block.where}: {shlex.join(words)}\n{result.err}"


def in_short(words: list[str], quick: list[str]) -> list[str]:
    """A command with settings that make it quick, for those that sample."""
    if words[0] not in ("sample", "probe"):
        return words
    keys = [f"{setting.partition('=')[0]}=" for setting in quick]
    return [*(word for word in words if not word.startswith(tuple(keys))), *quick]
