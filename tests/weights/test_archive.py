"""One file out of archives that mean no good."""

from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from invset.errors import WeightsError
from invset.weights import archive
from invset.weights.archive import extract, is_archive
from invset.weights.known import SourceError

DATA = bytes(range(256)) * 300
Entry = tuple[str, bytes | str]  # a str is where a link leads


def make_zip(path: Path, entries: list[Entry]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if isinstance(content, str):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, content)
    return path


def make_tar(path: Path, entries: list[Entry]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as packed:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                packed.addfile(info)
            else:
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


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if not path.is_dir()}


@both
@pytest.mark.parametrize("member", ["weights.bin", "fc6/weights.bin", "release/fc6/weights.bin"])
def test_a_file_is_found_by_the_end_of_its_path(inner: Path, make: Make, member: str) -> None:
    entries = [("release/readme", b"x"), ("release/fc6/weights.bin", DATA), ("release/fc6/weights.bin.txt", b"y")]
    packed = make(inner / "packed", entries)
    seen: list[int] = []
    extract(packed, member, inner / "out", len(DATA), seen.append)
    assert (inner / "out").read_bytes() == DATA
    assert seen[-1] == len(DATA)
    assert is_archive(packed)
    assert not is_archive(inner / "out")


def test_a_plain_tar(inner: Path) -> None:
    packed = make_tar(inner / "packed", [("w", DATA)])
    plain = inner / "plain"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    assert is_archive(plain)
    extract(plain, "w", inner / "out")
    assert (inner / "out").read_bytes() == DATA


@both
def test_names_that_lead_out_are_neither_followed_nor_taken(inner: Path, make: Make) -> None:
    """The wanted one is written to the path asked for; the others nowhere."""
    hostile: list[Entry] = [
        ("../fc6/w", b"climbs"),
        ("../../escaped", b"climbs"),
        (f"{inner}/fc6/w", b"absolute"),
        ("x/../fc6/w", b"climbs inside"),
    ]
    with pytest.raises(SourceError, match="holds no file"):
        extract(make(inner / "packed", hostile), "fc6/w", inner / "out")
    extract(make(inner / "packed", [*hostile, ("r/fc6/w", DATA)]), "fc6/w", inner / "out")
    assert (inner / "out").read_bytes() == DATA
    assert files(inner.parent.parent) == {"packed", "out"}


@both
def test_a_link_is_not_followed(inner: Path, make: Make) -> None:
    (inner / "secret").write_bytes(b"secret")
    with pytest.raises(SourceError, match="w in the archive is not a regular file"):
        extract(make(inner / "packed", [("w", str(inner / "secret"))]), "w", inner / "out")
    assert not (inner / "out").exists()


@both
def test_a_file_of_another_size_is_not_unpacked(inner: Path, make: Make) -> None:
    packed = make(inner / "packed", [("w", DATA)])
    with pytest.raises(SourceError, match=r"has 76,800 bytes, not 5"):
        extract(packed, "w", inner / "out", 5)
    assert not (inner / "out").exists()


@both
def test_a_bomb_is_left_alone(inner: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = make(inner / "packed", [("w", bytes(4_000_000))])
    assert packed.stat().st_size < 20_000
    monkeypatch.setattr(archive, "LARGEST", 1_000_000)
    with pytest.raises(SourceError, match="more than any file of weights"):
        extract(packed, "w", inner / "out")
    assert not (inner / "out").exists()


def test_a_tar_is_not_unpacked_without_end(inner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = make_tar(inner / "packed", [("bomb", bytes(4_000_000)), ("w", DATA)])
    monkeypatch.setattr(archive, "_UNPACKED", 1_000_000)
    with pytest.raises(SourceError, match="too large once it is unpacked"):
        extract(packed, "w", inner / "out")


def test_a_tars_extended_header_is_not_read_into_memory(inner: Path) -> None:
    """`tarfile` would read all 50 MB of it; here the file behind it is found with little memory."""
    long = tarfile.TarInfo("long")
    long.type, long.size = tarfile.XHDTYPE, 50_000_000
    file = tarfile.TarInfo("w")
    file.size = len(DATA)
    packed = inner / "packed"
    with gzip.open(packed, "wb", 1) as out:
        out.write(long.tobuf(tarfile.USTAR_FORMAT) + bytes(50_000_384))
        out.write(file.tobuf(tarfile.USTAR_FORMAT) + DATA + bytes(1024))
    tracemalloc.start()
    extract(packed, "w", inner / "out")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (inner / "out").read_bytes() == DATA
    assert most < 8_000_000


def test_a_zip_that_lies_about_its_list_is_not_read_into_memory(inner: Path) -> None:
    packed = make_zip(inner / "packed", [("w", DATA)])
    data = bytearray(packed.read_bytes())
    end = data.rfind(b"PK\x05\x06")
    data[end + 12 : end + 16] = (3_000_000_000).to_bytes(4, "little")
    packed.write_bytes(data)
    with pytest.raises(SourceError, match="list of contents is too long"):
        extract(packed, "w", inner / "out")
    packed.write_bytes(bytes(data[:end]) + b"PK\x06\x07" + bytes(16) + bytes(data[end:]))
    with pytest.raises(SourceError, match="list of contents is too long"):
        extract(packed, "w", inner / "out")


def test_a_zip_that_names_a_file_twice_is_refused(inner: Path) -> None:
    packed = make_zip(inner / "packed", [("a/w", DATA), ("b/w", b"other")])
    with pytest.raises(SourceError, match="holds 2 files w"):
        extract(packed, "w", inner / "out")
    extract(packed, "a/w", inner / "out")
    assert (inner / "out").read_bytes() == DATA


@both
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_an_archive_cut_short(inner: Path, make: Make, share: float) -> None:
    noise = random.Random(1).randbytes(60_000)
    packed = make(inner / "packed", [("first", noise), ("w", noise)])
    packed.write_bytes(packed.read_bytes()[: int(packed.stat().st_size * share)])
    with pytest.raises(SourceError):
        extract(packed, "w", inner / "out")


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
            extract(packed, "w", inner / "out", len(DATA))
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
        extract(inner / "packed", "w", inner / "out")


def test_a_target_that_cannot_be_written_is_not_the_archives_fault(inner: Path) -> None:
    packed = make_tar(inner / "packed", [("w", DATA)])
    with pytest.raises(WeightsError, match="cannot be written") as caught:
        extract(packed, "w", inner / "missing" / "out")
    assert not isinstance(caught.value, SourceError)
