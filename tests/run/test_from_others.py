"""Folders from others: whatever is in one, reading it is one error of a line, and nothing outside it is touched."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from invset.errors import RunFolderError
from invset.files import write_atomically
from invset.run.config import read_config
from invset.run.folder import RunFolder, is_locked
from invset.run.images import load_png
from invset.run.journals import Growing, read_samples
from invset.run.json_files import LONGEST, read_json, read_yaml


@pytest.fixture
def run(tmp_path: Path) -> Path:
    RunFolder.create(tmp_path / "run", "n: 1\n", {}).close()
    return tmp_path / "run"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_only_regular_files_are_read_and_written(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "summary.json")
    for read in (read_json, read_yaml, load_png, read_samples, Growing):
        with pytest.raises(RunFolderError, match=r"^[^\n]*summary\.json: [^\n]*$"):
            read(tmp_path / "summary.json")
    assert not is_locked(tmp_path / "summary.json")


def test_links_lead_nowhere(run: Path, tmp_path: Path) -> None:
    target, elsewhere = tmp_path / "mine", tmp_path / "photographs"
    target.write_text("mine")
    elsewhere.mkdir()
    (elsewhere / "0001.png").write_text("mine")
    for name in ("activations.csv", "manifest.json", ".manifest.json.tmp"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(target)
    write_atomically(run / "manifest.json", b"{}")
    assert not (run / "manifest.json").is_symlink()
    with (
        RunFolder.reopen(run) as folder,
        pytest.raises(RunFolderError, match="in the place of the link"),
    ):
        folder.rollback({"images": 0, "journals": {"activations.csv": [0, 0]}})
    (run / "images").rmdir()
    (run / "images").symlink_to(elsewhere)
    with pytest.raises(RunFolderError, match="images: a link"):
        read_config(run)
    assert (target.read_text(), (elsewhere / "0001.png").read_text()) == ("mine", "mine")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a": ' * 100_000, '{"samples": 1' + "0" * 30 + "}", '{"samples": "x"}', '{"units": [1]}', "\0",
     '{"closest": {}}', '{"samples": 1e999}', "{}" + " " * LONGEST, '{"status": ["\\ud800"]}'],
)  # fmt: skip
def test_json_of_any_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / ("manifest.json" if "units" in text else "summary.json")
    path.write_text(text)
    with pytest.raises(RunFolderError, match=r"^[^\n]{,500}$"):
        read_json(path)


@pytest.mark.parametrize("text", ["a: &a [1]\nb: [*a, *a]", "a: &x 1", "[" * 60 + "]" * 60, "[" * 10_000, "a: \x1b"])
def test_yaml_neither_grows_nor_nests(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunFolderError, match=r"^[^\n]{,500}$"):
        read_config(tmp_path)


def test_interpolations_are_texts(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("neuron: ${oc.env:HOME}\n")
    assert read_config(tmp_path).neuron == "${oc.env:HOME}"


def test_large_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") * 2)
    with pytest.raises(RunFolderError, match="100000 x 100000"):
        load_png(tmp_path / "1.png")
    Image.new("RGB", (5, 4)).save(tmp_path / "1.png")
    assert load_png(tmp_path / "1.png", (4, 5)).shape == (3, 4, 5)
    with pytest.raises(RunFolderError, match="5 x 4"):
        load_png(tmp_path / "1.png", (5, 4))
    Image.new("RGB", (5, 4)).save(tmp_path / "1.png", format="BMP")
    with pytest.raises(RunFolderError, match="damaged"):
        load_png(tmp_path / "1.png")
