"""One file out of archives, whole and damaged."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from invset.weights.archive import extract
from invset.weights.known import SourceError

DATA = bytes(range(256)) * 300
Entry = tuple[str, bytes]


def make_zip(path: Path, entries: list[Entry]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            packed.writestr(name, content)
    return path


def make_tar(path: Path, entries: list[Entry]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


both = pytest.mark.parametrize("make", [make_zip, make_tar])
Make = Callable[[Path, list[Entry]], Path]


@pytest.fixture
def inner(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    return folder


@both
@pytest.mark.parametrize("member", ["weights.bin", "fc6/weights.bin", "release/fc6/weights.bin"])
def test_a_file_is_found_by_the_end_of_its_path(inner: Path, make: Make, member: str) -> None:
    entries = [("release/readme", b"x"), ("release/fc6/weights.bin", DATA), ("release/fc6/weights.bin.txt", b"y")]
    packed = make(inner / "packed", entries)
    extract(packed, [member], inner / "out")
    assert (inner / "out").read_bytes() == DATA


def test_a_plain_tar(inner: Path) -> None:
    packed = make_tar(inner / "packed", [("w", DATA)])
    plain = inner / "plain"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    extract(plain, ["w"], inner / "out")
    assert (inner / "out").read_bytes() == DATA


@both
def test_names_in_the_archive_are_no_paths(inner: Path, make: Make) -> None:
    entries: list[Entry] = [("../../escaped", b"climbs"), (f"{inner}/absolute", b"x"), ("../fc6/w", DATA)]
    extract(make(inner / "packed", entries), ["fc6/w"], inner / "out")
    assert (inner / "out").read_bytes() == DATA
    assert {path.name for path in inner.parent.parent.rglob("*") if path.is_file()} == {"packed", "out"}


@both
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_an_archive_cut_short(inner: Path, make: Make, share: float) -> None:
    noise = random.Random(1).randbytes(60_000)
    packed = make(inner / "packed", [("first", noise), ("w", noise)])
    packed.write_bytes(packed.read_bytes()[: int(packed.stat().st_size * share)])
    with pytest.raises(SourceError):
        extract(packed, ["w"], inner / "out")


@both
def test_mutations_give_the_right_file_or_one_error(inner: Path, make: Make) -> None:
    """Oracle: the CRCs that zip and gzip keep of what they hold."""
    dice = random.Random(0)
    packed = make(inner / "packed", [("first", b"hello"), ("w", DATA)])
    original = packed.read_bytes()
    outcomes = {"file": 0, "error": 0}
    for _ in range(300):
        data = bytearray(original)
        for _ in range(dice.choice([1, 1, 4])):
            data[dice.randrange(len(data))] = dice.randrange(256)
        packed.write_bytes(data)
        try:
            extract(packed, ["w"], inner / "out")
        except SourceError:
            outcomes["error"] += 1
        else:
            outcomes["file"] += 1
            assert (inner / "out").read_bytes() == DATA
    assert min(outcomes.values()) > 5


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"PK\x03\x04", b"\x1f\x8b", b"\x1f\x8b\x08\0\0\0\0\0\0\0", bytes(2000)]
)
def test_what_is_no_archive(inner: Path, data: bytes) -> None:
    (inner / "packed").write_bytes(data)
    with pytest.raises(SourceError):
        extract(inner / "packed", ["w"], inner / "out")


def test_a_target_that_cannot_be_written_is_not_the_archives_fault(inner: Path) -> None:
    with pytest.raises(FileNotFoundError):
        extract(make_tar(inner / "packed", [("w", DATA)]), ["w"], inner / "missing" / "out")


def test_an_archive_without_the_file(inner: Path) -> None:
    with pytest.raises(SourceError, match="holds no file fc6/w"):
        extract(make_zip(inner / "packed", [("fc7/w", DATA)]), ["fc6/w"], inner / "out")
