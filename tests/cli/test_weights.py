"""`invset weights`, as typed."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from invset.cli import weights as command
from invset.cli.fetching import fetch_for_run
from invset.cli.help import describe_command
from invset.errors import ConfigError, InvsetError, WeightsError
from invset.weights import cache
from invset.weights.known import KNOWN, Source, Weights, find

DATA = bytes(range(256)) * 100


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("hostile_server_of_cli", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


web = _load(Path(__file__).parents[1] / "weights" / "server.py")


class Typed(NamedTuple):
    code: int
    out: str
    err: str


def typed(*arguments: str, terminal: bool = False, width: int = 100) -> Typed:
    """As `main` does: an error is printed, and is the exit code."""
    out, err = io.StringIO(), io.StringIO()
    consoles = [Console(file=file, force_terminal=terminal, width=width, color_system=None) for file in (out, err)]
    try:
        code = command.run(list(arguments), *consoles)
    except InvsetError as error:
        code = error.exit_code
        err.write(f"invset: {error}\n")
    return Typed(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "XDG_CACHE_HOME", "INVSET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Any]:
    with web.serving() as running:
        yield running


@pytest.fixture
def toy(server: Any, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Weights that are known, with a dead source and a live one."""
    sources = (Source(server.put("/dead", b"", *[web.status(404)] * 99)), Source(server.put("/w", DATA)))
    checksums = {"sha1": hashlib.sha1(DATA).hexdigest()}
    weights = Weights("toy", "toy.bin", len(DATA), checksums, sources, "research only; ask first", "a toy")
    monkeypatch.setitem(KNOWN, "toy", weights)  # type: ignore[arg-type]
    return weights


@pytest.fixture
def trusted(server: Any, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """Weights without a published checksum."""
    weights = Weights("trusted", "trusted.bin", None, {}, (Source(server.put("/t", DATA)),), "not stated", "a toy")
    monkeypatch.setitem(KNOWN, "trusted", weights)  # type: ignore[arg-type]
    return weights


def test_help_tells_of_every_action() -> None:
    for arguments in ((), ("--help",), ("fetch", "-h")):
        result = typed(*arguments)
        assert (result.code, result.err) == (0, "")
        assert result.out.strip() == describe_command("weights").strip()
    for action in ("list", "fetch", "verify", "path", "add"):
        assert f"invset weights {action}" in describe_command("weights")


def test_list(toy: Weights, trusted: Weights) -> None:
    before = typed("list")
    assert re.search(r"^toy +no +25.6 kB +published +research only *$", before.out, re.MULTILINE)
    assert re.search(r"^trusted +no +\? +first use +not stated *$", before.out, re.MULTILINE)
    assert re.search(r"^caffenet +no +243.9 MB +published +unrestricted use *$", before.out, re.MULTILINE)
    assert before.out.endswith(f"\nin {cache.folder()}\n")
    cache.folder().mkdir(parents=True)
    cache.place(toy).write_bytes(DATA)
    assert re.search(r"^toy +yes ", typed("list").out, re.MULTILINE)


def test_list_fits_eighty_columns() -> None:
    lines = typed("list", width=80).out.splitlines()
    assert len([line for line in lines if line.startswith(tuple(KNOWN))]) == len(KNOWN)


def test_list_of_one_tells_all(toy: Weights, trusted: Weights) -> None:
    text = typed("list", "toy", "trusted").out
    for part in (
        "a toy",
        "25,600 bytes",
        toy.checksums["sha1"],
        toy.sources[0].url,
        toy.sources[1].url,
        "research only; ask first",
        "none is published: the first file's SHA-256 is recorded",
        "here      no",
    ):
        assert part in text
    assert "places205CNN_iter_300000.caffemodel" in typed("list", "--long").out


def test_fetch_shows_the_terms_first_and_checks(toy: Weights) -> None:
    result = typed("fetch", "toy")
    assert result.code == 0
    assert result.out == f"toy: {cache.place(toy)}\n"
    assert result.err.splitlines() == [
        "fetching toy (0.0 MB); terms: research only; ask first",
        f"  from {toy.sources[0].url}",
        f"  from {toy.sources[1].url}",
        "  matches the published sha1",
    ]
    assert typed("fetch", "toy").out == f"toy: {cache.place(toy)}\n"


def test_fetch_says_when_nobody_vouches(trusted: Weights) -> None:
    result = typed("fetch", "trusted")
    assert "no checksum is published: the file of the first use is trusted" in result.err
    assert re.search(r"recorded +20.*, sha256 [0-9a-f]{64}, http", typed("list", "trusted").out)


def test_fetch_draws_a_bar_on_a_terminal(toy: Weights) -> None:
    result = typed("fetch", "toy", terminal=True)
    assert "25.6/25.6 kB" in result.err


def test_fetch_that_fails_says_what_to_do(server: Any, toy: Weights) -> None:
    server.pages.clear()
    result = typed("fetch", "toy")
    assert result.code == 1
    assert "invset: weights toy could not be fetched" in result.err
    assert "/w: it answers 404 Not Found" in result.err
    assert "invset weights add toy PATH" in result.err


def test_all_names_are_looked_at_before_any_is_fetched(server: Any, toy: Weights) -> None:
    assert typed("fetch", "toy", "tyo").code == 2
    assert server.requests == []


def test_offline(toy: Weights, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSET_OFFLINE", "1")
    result = typed("fetch", "toy")
    assert (result.code, result.out) == (1, "")
    assert "INVSET_OFFLINE forbids" in result.err
    with pytest.raises(WeightsError, match="INVSET_OFFLINE forbids"):
        fetch_for_run(toy)
    assert server.requests == []


def test_verify(toy: Weights, trusted: Weights) -> None:
    assert typed("verify").out == f"no weights are in {cache.folder()}\n"
    typed("fetch", "toy", "trusted")
    result = typed("verify")
    assert result.code == 0
    assert result.out.startswith("toy: matches the published sha1\ntrusted: no checksum is published")
    cache.place(trusted).write_bytes(DATA[::-1])
    result = typed("verify")
    assert result.code == 1
    assert result.out == "toy: matches the published sha1\n"
    assert result.err.startswith("trusted: WRONG, its sha256 is ")
    assert typed("verify", "caffenet") == Typed(1, "", "caffenet: not here: invset weights fetch caffenet\n")


def test_path_prints_the_path_and_nothing_else(toy: Weights) -> None:
    result = typed("path", "toy")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("invset: weights toy: not here; run: invset weights fetch toy.\n")
    typed("fetch", "toy")
    assert typed("path", "toy", width=20) == Typed(0, f"{cache.place(toy)}\n", "")
    cache.place(toy).write_bytes(b"x")
    assert "toy.bin is not the right file" in typed("path", "toy").err


def test_add(toy: Weights, tmp_path: Path) -> None:
    got = tmp_path / "[red]got.bin"  # what rich would take for a colour
    got.write_bytes(DATA)
    assert typed("add", "toy", str(got)) == Typed(0, f"toy: matches the published sha1\n{cache.place(toy)}\n", "")
    assert f"added by hand from {got}" in typed("list", "toy").out
    got.write_bytes(DATA[::-1])
    result = typed("add", "toy", str(got))
    assert result.code == 1
    assert "not the file of toy: its sha1 is" in result.err


def test_torchvisions_go_by_their_file_names(tmp_path: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    name = f"toynet-{digest[:8]}.pth"
    (tmp_path / "got").write_bytes(DATA)
    assert typed("add", name, str(tmp_path / "got")).code == 0
    assert typed("path", name).out == f"{cache.folder() / name}\n"
    assert name in typed("list").out
    assert f"{name}: matches the published sha256-prefix" in typed("verify").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lst",), "weights lst: there is no such action: did you mean list?"),
        (("zzz",), "there are add, fetch, list, path, verify."),
        (("fetch",), "weights fetch: name the weights"),
        (("fetch", "cafenet"), "no weights are called 'cafenet': did you mean caffenet"),
        (("list", "cafenet"), "did you mean caffenet"),
        (("verify", "cafenet"), "did you mean caffenet"),
        (("path",), "weights path takes one name"),
        (("path", "caffenet", "ppgn"), "weights path takes one name"),
        (("add", "caffenet"), "weights add takes a name and a path"),
        (("list", "--lng"), "there is no option --lng"),
        (("fetch", "--force", "caffenet"), "there is no option --force"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = typed(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    with pytest.raises(ConfigError):
        command.run(arguments)


def test_a_run_says_once_what_it_fetches_and_then_nothing(toy: Weights) -> None:
    said = io.StringIO()
    console = Console(file=said, width=40)
    assert fetch_for_run(toy, console) == cache.place(toy)
    assert said.getvalue().splitlines()[0] == "fetching toy (0.0 MB); terms: research only; ask first"
    said.truncate(0)
    assert fetch_for_run(toy, console) == cache.place(toy)
    assert said.getvalue().strip("\0") == ""


def test_a_run_says_why_it_waits(server: Any, toy: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invset.weights.fetch.WAIT", 0.0)
    server.put("/w", DATA, web.status(503))
    said = io.StringIO()
    fetch_for_run(toy, Console(file=said, width=40))
    assert "  waiting 0 s to try again: it answers 503 Service Unavailable\n" in said.getvalue()


def test_every_known_name_can_be_listed() -> None:
    for name in KNOWN:
        assert find(name).sources[0].url in typed("list", name).out
