"""A run's folder: one run, one writer, and the way back to a checkpoint."""

from __future__ import annotations

import json
import math
import os
import signal
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from invset.errors import RunFolderError
from invset.run.folder import RunFolder, extent, is_locked
from invset.run.journals import ChecksumJournal, Journal
from invset.run.json_files import write_json


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def create(path: Path) -> RunFolder:
    return RunFolder.create(path, "unit: fc8:volcano\n", {"device": "cpu", "limit": math.inf})


def test_create_and_reopen(tmp_path: Path) -> None:
    with create(tmp_path / "a" / "run") as folder:
        assert folder.paths.config.read_text() == "unit: fc8:volcano\n"
        folder.update_manifest(seconds=2.5, device="cuda")
        for leftover in ("images/.0004.png.tmp", ".manifest.json.tmp"):
            (folder.paths.root / leftover).write_bytes(b"of a process that was killed")
    with RunFolder.reopen(tmp_path / "a" / "run") as folder:
        assert not list(folder.paths.root.rglob("*.tmp"))
        assert folder.manifest == {"device": "cuda", "limit": "inf", "seconds": 2.5}
        write_json(folder.paths.summary, {"samples": 3, "mean": math.nan, "ranges": [(0.5, -math.inf)]})
        summary = json.loads(folder.paths.summary.read_text(), parse_constant=pytest.fail)
    assert summary == {"samples": 3, "mean": None, "ranges": [[0.5, "-inf"]]}
    assert [folder.paths.image(number).name for number in (7, 12345)] == ["0007.png", "12345.png"]


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    create(tmp_path).close()
    before = contents(tmp_path)
    with pytest.raises(RunFolderError, match=f"{tmp_path}: holds a run already"):
        RunFolder.create(tmp_path, "other", {})
    assert contents(tmp_path) == before


def test_someone_elses_images_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0001.png").write_bytes(b"mine")
    with pytest.raises(RunFolderError, match="holds files, but of no run"):
        create(tmp_path)
    assert (tmp_path / "images" / "0001.png").read_bytes() == b"mine"


def test_reopen_needs_a_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RunFolderError, match=r"there is no run here to continue"):
            RunFolder.reopen(path)
    assert not list(tmp_path.iterdir())
    create(tmp_path).close()
    manifest = tmp_path / "manifest.json"
    for text, words in ((b"{", "damaged"), (b"[1]", "no JSON object"), (b"\xff", "damaged")):
        manifest.write_bytes(text)
        with pytest.raises(RunFolderError, match=rf"manifest\.json: .*{words}"):
            RunFolder.reopen(tmp_path)
    manifest.unlink()
    with pytest.raises(RunFolderError, match=r"manifest\.json: cannot be read"):
        RunFolder.reopen(tmp_path)
    manifest.write_text("{}")
    RunFolder.reopen(tmp_path).close()  # none of the failures kept the lock


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match=r"run: cannot be made a run folder"):
        create(tmp_path / "run")


def test_one_writer_in_this_process(tmp_path: Path) -> None:
    with create(tmp_path) as folder:
        with pytest.raises(RunFolderError, match="another process is writing this run"):
            RunFolder.reopen(tmp_path)
        assert is_locked(folder.paths.lock)
    RunFolder.reopen(tmp_path).close()
    assert not is_locked(folder.paths.lock)


# Python 3.12 and later say so of any process with threads, as torch's and pytest-xdist's are.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    ready, held = os.pipe()
    child = os.fork()
    if child == 0:
        folder = create(tmp_path)
        os.write(held, b"held")
        signal.pause()
        folder.close()
    assert os.read(ready, 4) == b"held"
    with pytest.raises(RunFolderError, match="another process is writing this run"):
        RunFolder.reopen(tmp_path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    RunFolder.reopen(tmp_path).close()
    for end in (ready, held):
        os.close(end)


Written = tuple[RunFolder, dict[str, Any]]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Three images, of which the checkpoint knows two, and litter."""
    with (
        create(tmp_path) as folder,
        closing(Journal(folder.paths.activations, ["x"])) as journal,
        closing(ChecksumJournal(folder.paths.checksums)) as checksums,
    ):
        journal.append([(1,), (2,)])
        checksums.append([zlib.crc32(b"image")] * 2)
        meta = json.loads(json.dumps({"step": 4, **extent(2, journal, checksums)}))
        journal.append([(3,)])
        checksums.append([0])
        for number in (1, 2, 3):
            folder.paths.image(number).write_bytes(b"image")
        for name in ("trace.csv", "summary.json"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "images" / "notes.txt").write_text("the user's")
        yield folder, meta


def test_rollback_to_a_checkpoint(written: Written, tmp_path: Path) -> None:
    folder, meta = written
    lines, checksums = b"x\n1\n2\n", 2 * zlib.crc32(b"image").to_bytes(4, "little")
    journals = {"activations.csv": [6, zlib.crc32(lines)], "checksums.bin": [8, zlib.crc32(checksums)]}
    assert meta == {"step": 4, "images": 2, "journals": journals}
    own = {".lock", "config.yaml", "manifest.json", "summary.json"}
    for _ in range(2):
        folder.rollback(meta)
        files = contents(tmp_path)
        assert files.pop("activations.csv") == lines
        assert files.pop("checksums.bin") == checksums
        assert set(files) == own | {"images/0001.png", "images/0002.png", "images/notes.txt"}


def test_rollback_without_a_checkpoint(written: Written, tmp_path: Path) -> None:
    written[0].rollback(None)
    assert not {"activations.csv", "images/0001.png", "trace.csv"} & set(contents(tmp_path))
    assert "images/notes.txt" in contents(tmp_path)


def test_what_a_checkpoint_counts_is_checked_and_nothing_changed(written: Written, tmp_path: Path) -> None:
    folder, meta = written
    before = contents(tmp_path)
    assert folder.check(meta) == []
    journals = meta["journals"]
    for lost, words in (
        ({"activations.csv": [99, 0]}, r"activations\.csv: its first 99 bytes are not as they were written"),
        ({"activations.csv": [6, 1]}, r"activations\.csv: its first 6 bytes"),
        ({"codes.bin": [4, 0]}, r"codes\.bin: its first 4 bytes"),
        (3, r"checkpoint\.safetensors: no checkpoint of this version"),
        ({"trace.csv": 4}, r"checkpoint\.safetensors: no checkpoint of this version"),
    ):
        counted = {**journals, **lost} if isinstance(lost, dict) else lost
        with pytest.raises(RunFolderError, match=words):
            folder.check({**meta, "journals": counted})
    with pytest.raises(RunFolderError, match="checksums"):
        folder.check({**meta, "images": 10**15})
    with pytest.raises(RunFolderError, match="no checkpoint of this version"):
        folder.check({**meta, "images": "many"})
    assert contents(tmp_path) == before
    folder.paths.image(1).unlink()
    folder.paths.image(2).write_bytes(b"Image")
    assert folder.check(meta) == [1, 2]
