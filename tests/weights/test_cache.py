"""Files of weights on this machine: folders, records, trust, files got by hand."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import re
import tarfile
from pathlib import Path

import pytest

from invset.errors import WeightsError
from invset.weights import cache
from invset.weights.known import PREFIX, Source, SourceError, Weights, find

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()
ADDRESS = "http://example.invalid/toy.bin"


def toy(*algorithms: str, member: str | None = None) -> Weights:
    checksums = {name: hashlib.new(name, DATA).hexdigest() for name in algorithms}
    size = len(DATA) if algorithms else None
    return Weights("toy", "toy.bin", size, checksums, (Source(ADDRESS, member),), "research only; ask first", "a toy")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CACHE_HOME", "INVSET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    path = tmp_path / "downloaded.bin"
    path.write_bytes(DATA)
    return path


def placed(weights: Weights, data: bytes = DATA) -> Path:
    path = cache.place(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("/own", "/xdg", "/own/weights"),
        ("~/own", "/xdg", "/home/who/own/weights"),
        ("", "/xdg", "/xdg/invset/weights"),
        (None, "/xdg", "/xdg/invset/weights"),
        (None, "", "/home/who/.cache/invset/weights"),
        (None, None, "/home/who/.cache/invset/weights"),
    ],
)
def test_the_folder(own: str | None, xdg: str | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/who")
    for name, value in (("INVSET_CACHE", own), ("XDG_CACHE_HOME", xdg)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert cache.folder() == Path(expected)


def test_a_relative_folder_is_meant_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INVSET_CACHE", "here")
    assert cache.folder() == tmp_path / "here" / "weights"


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("", False), ("0", False), ("No", False), ("1", True), ("true", True)]
)
def test_offline(value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("INVSET_OFFLINE", value)
    assert cache.offline() is expected


def test_nothing_is_here_and_nothing_is_made() -> None:
    assert cache.find_file(toy()) is None
    assert cache.checked(toy()) is None
    assert not cache.folder().exists()


def mistake(weights: Weights) -> str:
    """What is wrong with the file in the cache, which is not recorded as right."""
    path = cache.find_file(weights)
    assert path is not None
    with pytest.raises(SourceError) as caught:
        cache.verify(weights, path)
    assert cache.checked(weights) is None
    return str(caught.value)


def record(weights: Weights | None = None) -> cache.Record:
    found = cache.read_record(weights or toy())
    assert found is not None
    return found


@pytest.mark.parametrize("algorithms", [("sha1", "sha384"), ("md5",), ("sha256",)])
def test_a_file_that_matches_what_is_published(algorithms: tuple[str, ...]) -> None:
    weights = toy(*algorithms)
    path = placed(weights)
    assert cache.checked(weights) == path
    assert cache.describe_trust(weights) == f"matches the published {' and '.join(algorithms)}"
    assert record(weights)[:2] == (SHA256, len(DATA))


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384", "sha512"])
def test_a_single_wrong_byte_is_found(algorithm: str) -> None:
    weights = toy(algorithm)
    placed(weights, DATA[:-1] + b"?")
    said = mistake(weights)
    assert re.match(rf"its {algorithm} is [0-9a-f]+, and should be {weights.checksums[algorithm]}", said)


def test_every_published_checksum_has_to_match() -> None:
    weights = dataclasses.replace(toy("sha1"), checksums={**toy("sha1").checksums, "md5": "0" * 32})
    placed(weights)
    assert cache.checked(weights) is None


def test_a_wrong_size_is_said_as_such() -> None:
    weights = toy("sha1")
    placed(weights, DATA[:-1])
    assert mistake(weights) == "it has 10,239 bytes, not 10,240"


def test_a_file_is_read_only_when_it_changed() -> None:
    weights = toy("sha1")
    path = placed(weights)
    cache.checked(weights)
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(0, record().mtime))
    assert cache.checked(weights) == path  # same size and time
    os.utime(path, ns=(1, 1))
    assert cache.checked(weights) is None


def test_trust_on_first_use_and_the_same_from_then_on() -> None:
    weights = toy()
    path = placed(weights)
    assert cache.checked(weights) == path
    assert record().source == "found in the cache folder"
    assert cache.checked(weights) == path
    path.write_bytes(DATA[:-1] + b"?")
    assert SHA256 in mistake(weights)
    path.write_bytes(DATA)
    assert cache.checked(weights) == path


def test_a_page_is_not_trusted_on_first_use() -> None:
    weights = toy()
    placed(weights, b"\n <!DOCTYPE html><html><body>404</body></html>")
    assert mistake(weights) == "it is a web page, not a file of weights"


def test_what_is_not_here_is_asked_for_in_so_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = toy("sha1", "md5", member="fc6/toy.bin")
    monkeypatch.setenv("INVSET_OFFLINE", "1")
    with pytest.raises(WeightsError) as caught:
        cache.require(weights)
    text = str(caught.value)
    for part in (
        "weights toy: not here, and INVSET_OFFLINE forbids",
        "get toy.bin (10,240 bytes, sha1 ",
        weights.checksums["sha1"],
        weights.checksums["md5"],
        f"from {ADDRESS} (an archive with fc6/toy.bin in it",
        "invset weights add toy PATH",
        str(cache.folder() / "toy.bin"),
        "research only; ask first",
    ):
        assert part in text


def test_a_wrong_file_that_is_here_is_named() -> None:
    path = placed(toy("sha1"), b"x" * len(DATA))
    with pytest.raises(WeightsError, match=rf"toy: {path} is not the right file; run: invset weights fetch"):
        cache.require(toy("sha1"))


def test_a_file_got_by_hand(by_hand: Path) -> None:
    weights = toy("sha1")
    path = cache.add(weights, by_hand)
    assert path == cache.place(weights)
    assert path.read_bytes() == DATA == by_hand.read_bytes()
    by_hand.write_bytes(b"changed afterwards")
    assert cache.require(weights).read_bytes() == DATA
    assert left_over(cache.folder()) == {"toy.bin", "toy.bin.json"}
    assert record().source == f"added by hand from {by_hand}"


def test_a_wrong_file_got_by_hand_is_refused_and_left_alone(by_hand: Path) -> None:
    by_hand.write_bytes(DATA[::-1])
    with pytest.raises(WeightsError) as caught:
        cache.add(toy("sha1"), by_hand)
    for digest in (hashlib.sha1(DATA).hexdigest(), hashlib.sha1(DATA[::-1]).hexdigest()):
        assert digest in str(caught.value)
    assert by_hand.read_bytes() == DATA[::-1]
    assert left_over(cache.folder()) == set()


def test_a_wrong_file_does_not_take_the_place_of_a_right_one(by_hand: Path) -> None:
    cache.add(toy("sha1"), by_hand)
    by_hand.write_bytes(DATA[::-1])
    with pytest.raises(WeightsError, match="Nothing was added"):
        cache.add(toy("sha1"), by_hand)
    assert cache.require(toy("sha1")).read_bytes() == DATA


def test_a_file_got_by_hand_is_trusted_where_nothing_is_published(by_hand: Path) -> None:
    cache.add(toy(), by_hand)
    by_hand.write_bytes(DATA[::-1])
    cache.add(toy(), by_hand)  # who adds a file by hand means it
    assert cache.require(toy()).read_bytes() == DATA[::-1]


def test_a_file_that_lies_in_the_cache_already_can_be_added() -> None:
    path = placed(toy("sha1"))
    assert cache.add(toy("sha1"), path) == path
    path.write_bytes(b"wrong")
    with pytest.raises(WeightsError, match="it has 5 bytes"):
        cache.add(toy("sha1"), path)
    assert path.read_bytes() == b"wrong"


def test_an_archive_got_by_hand_is_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as out:
        info = tarfile.TarInfo("release/fc6/toy.bin")
        info.size = len(DATA)
        out.addfile(info, io.BytesIO(DATA))
    weights = toy("sha1", member="fc6/toy.bin")
    assert cache.add(weights, packed) == cache.place(weights)
    assert cache.require(weights).read_bytes() == DATA
    with pytest.raises(WeightsError, match=r"packed.tar.gz: .*holds no file fc7/toy.bin. Nothing was added"):
        cache.add(toy("sha1", member="fc7/toy.bin"), packed)


def test_a_gzip_that_is_no_archive_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "toy.gz"
    path.write_bytes(gzip.compress(DATA))
    with pytest.raises(WeightsError, match="Nothing was added"):
        cache.add(toy("sha1", member="fc6/toy.bin"), path)


@pytest.mark.parametrize(("name", "message"), [("none", "No such file"), (".", "Is a directory")])
def test_what_cannot_be_added(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        cache.add(toy(), tmp_path / name)


def test_torch_hubs_copy_is_used_where_it_lies(tmp_path: Path) -> None:
    weights = dataclasses.replace(toy(), file="toy-12345678.pth", checksums={PREFIX: SHA256[:8]})
    hub = tmp_path / "torch" / "hub" / "checkpoints" / weights.file
    hub.parent.mkdir(parents=True)
    hub.write_bytes(DATA)
    assert cache.require(weights) == hub
    hub.write_bytes(DATA[::-1])
    assert mistake(weights).startswith("its sha256 is")
    assert cache.checked(toy("sha256")) is None  # others are not looked for there


def test_torch_hubs_folder_is_the_one_that_torch_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: torch.hub.get_dir."""
    hub = pytest.importorskip("torch.hub")
    weights = find("alexnet-owt-7be5be79.pth")
    for variables in ({"TORCH_HOME": "ROOT/t"}, {"XDG_CACHE_HOME": "ROOT/x"}, {"HOME": "ROOT/h"}):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value.replace("ROOT", str(tmp_path)))
        path = Path(hub.get_dir()) / "checkpoints" / weights.file
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
        assert cache.find_file(weights) == path


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 1}', "\xff"])
def test_a_damaged_record_is_none(text: str) -> None:
    path = placed(toy())
    (cache.folder() / "toy.bin.json").write_text(text, encoding="latin-1")
    assert cache.checked(toy()) == path
    assert record().sha256 == SHA256


def test_a_cache_that_cannot_be_made_is_said_in_words(
    tmp_path: Path, by_hand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot be written \(Not a directory\): .*set INVSET_CACHE"):
        cache.add(toy(), by_hand)


def test_a_cache_whose_records_cannot_be_written_is_as_good() -> None:
    """As one that may only be read; with a folder in the way rather than by rights, which root would not mind."""
    path = placed(toy("sha1"))
    (path.parent / "toy.bin.json").mkdir()
    assert cache.require(toy("sha1")) == path
