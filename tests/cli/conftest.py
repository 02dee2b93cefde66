"""Runs commands in this process, as a user would in an empty folder, and keeps a few finished runs to look at."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from invset.assemble import reach
from invset.cli.main import run
from invset.core import near
from invset.models import mini as built_in
from invset.models.network import CodeStatistics

LINEAR = ("sample", "experiment=linear", "n=22", "schedule.K=4")
MINI = ("sample", "neuron=fc8:goldfish", "range=[50,60]", "n=14", "schedule.K=4")


# The paper's rule ends in corners of the cube (sec. 3.1), one for each chain.
PLATEAU = ("sample", "method=paper", "experiment=linear", "n=300", "schedule.K=4", "until=plateau")


class Result(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Result]


def call(*arguments: str) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; after the test, nothing that a command may have changed is."""
    monkeypatch.chdir(tmp_path)
    argv = list(sys.argv)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield tmp_path
    root.setLevel(level)  # Hydra's --info sets these for good
    root.handlers[:] = handlers
    assert sys.argv == argv
    assert Path.cwd() == tmp_path


@pytest.fixture(scope="session", autouse=True)
def few_looks() -> Iterator[None]:
    """At natural codes, for starts near the ranges and for ranges: a thousand would take longer than the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "LOOKS", 96)
        for name, few in (("LOOKS", 48), ("ASCENTS", 3), ("STEPS", 10)):
            patch.setattr(reach, name, few)
        yield


@pytest.fixture
def invset(here: Path) -> Call:
    return call


def _finished(folder: Path, *arguments: str) -> Path:
    before = Path.cwd()
    os.chdir(folder.parent)
    try:
        result = call(*arguments, f"hydra.run.dir={folder}")
    finally:
        os.chdir(before)
    assert result.code == 0, result.err
    return folder


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read, not written."""
    return _finished(tmp_path_factory.mktemp("linear") / "run", *LINEAR)


@pytest.fixture(scope="session")
def mini_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read, not written."""
    return _finished(tmp_path_factory.mktemp("mini") / "run", *MINI)


@pytest.fixture(scope="session")
def plateau_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be read, not written."""
    return _finished(tmp_path_factory.mktemp("plateau") / "run", *PLATEAU)


@pytest.fixture
def copied(here: Path) -> Callable[[Path], Path]:
    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, here / "copied"))

    return copy


@pytest.fixture
def few_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the built-in model's natural codes 24: to pass all of them through networks takes a while."""
    real = built_in.load_code_statistics

    def load(path: Path | None = None) -> CodeStatistics:
        statistics = real(path)
        return statistics._replace(bank=statistics.bank[::42])

    monkeypatch.setattr(built_in, "load_code_statistics", load)


@pytest.fixture
def linear() -> tuple[str, ...]:
    return LINEAR


@pytest.fixture
def mini() -> tuple[str, ...]:
    return MINI


@pytest.fixture
def rows() -> Callable[[Path], list[dict[str, str]]]:
    def read(path: Path) -> list[dict[str, str]]:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def results() -> Callable[[Path], dict[str, bytes]]:
    """What two equal runs have in common, byte for byte."""

    def read(folder: Path) -> dict[str, bytes]:
        names = ["activations.csv", "trace.csv", "codes.safetensors", "codes.bin", "seeds.png", "samples.png"]
        files = [folder / name for name in names if name != "seeds.png" or (folder / name).exists()]
        files += sorted((folder / "images").iterdir())
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}

    return read
