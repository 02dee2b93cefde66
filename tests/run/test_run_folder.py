"""A run's folder: one run, one writer, and the way back to a checkpoint."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from invset.errors import RunFolderError
from invset.run.folder import RunFolder, extent
from invset.run.journal import Journal
from invset.run.layout import Layout

ROOT = Path(__file__).parents[2]


def _create(path: Path) -> RunFolder:
    return RunFolder.create(path, "unit: fc8:volcano\n", {"device": "cpu", "limit": math.inf})


def test_create_and_reopen(tmp_path):
    with _create(tmp_path / "a" / "run") as folder:
        assert folder.config_text == "unit: fc8:volcano\n"
        folder.update_manifest(seconds=2.5, device="cuda")
    with RunFolder.reopen(tmp_path / "a" / "run") as folder:
        assert folder.manifest == {"device": "cuda", "limit": "inf", "seconds": 2.5}
        folder.write_summary({"samples": 3, "mean": math.nan, "ranges": [(0.5, -math.inf)]})
        summary = json.loads(folder.paths.summary.read_text(), parse_constant=pytest.fail)
    assert summary == {"samples": 3, "mean": None, "ranges": [[0.5, "-inf"]]}
    assert folder.paths.image(7).name == "0007.png"
    assert folder.paths.image(12345).name == "12345.png"


def test_a_second_run_is_refused_and_told_of_resume(tmp_path):
    _create(tmp_path).close()
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(RunFolderError, match=f"holds a run already.*resume={tmp_path}"):
        RunFolder.create(tmp_path, "other", {})
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_someone_elses_images_are_not_touched(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0001.png").write_bytes(b"mine")
    with pytest.raises(RunFolderError, match="holds files, but of no run"):
        _create(tmp_path)
    assert (tmp_path / "images" / "0001.png").read_bytes() == b"mine"


def test_a_folder_made_by_a_kill_before_the_config_can_be_begun_anew(tmp_path):
    _create(tmp_path).close()
    (tmp_path / "config.yaml").unlink()
    _create(tmp_path).close()


def test_reopen_needs_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RunFolderError, match=r"there is no run here to continue"):
            RunFolder.reopen(path)
    assert not list(tmp_path.iterdir())
    _create(tmp_path).close()
    for text, words in (
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ("\xff", "not JSON"),
        (None, "cannot be read"),
    ):
        if text is None:
            (tmp_path / "manifest.json").unlink()
        else:
            (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
        with pytest.raises(RunFolderError, match=rf"manifest\.json: .*{words}"):
            RunFolder.reopen(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    RunFolder.reopen(tmp_path).close()  # none of the failures kept the lock


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match=r"run: cannot be made a run folder"):
        _create(tmp_path / "run")


def test_one_writer_in_this_process(tmp_path):
    with _create(tmp_path), pytest.raises(RunFolderError, match="another process is writing this run"):
        RunFolder.reopen(tmp_path)
    RunFolder.reopen(tmp_path).close()


def test_the_lock_of_a_killed_process_is_gone(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from invset.run.folder import RunFolder;"
        "folder = RunFolder.create(Path(sys.argv[1]), '', {}); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="another process is writing this run"):
            RunFolder.reopen(tmp_path)
        holder.send_signal(signal.SIGKILL)
    RunFolder.reopen(tmp_path).close()


@pytest.fixture
def written(tmp_path):
    """Three images, of which the checkpoint knows two, and litter."""
    with _create(tmp_path) as folder, Journal.open(folder.paths.activations, ["x"]) as journal:
        journal.append([(1,), (2,)])
        meta = json.loads(json.dumps({"step": 4, **extent(2, journal)}))
        journal.append([(3,)])
        for number in (1, 2, 3):
            folder.paths.image(number).write_bytes(b"image")
        for name in ("images/.0004.png.tmp", ".checkpoint.safetensors.tmp", "trace.csv", "summary.json"):
            (tmp_path / name).write_bytes(b"x")
        (tmp_path / "images" / "notes.txt").write_text("the user's")
        yield folder, meta


def test_rollback_to_a_checkpoint(written, contents, tmp_path):
    folder, meta = written
    assert meta == {"step": 4, "images": 2, "journals": {"activations.csv": 6}}
    for _ in range(2):
        folder.rollback(meta)
        files = contents(tmp_path)
        assert files.pop("activations.csv") == b"x\n1\n2\n"
        assert set(files) == {
            ".lock",
            "config.yaml",
            "manifest.json",
            "summary.json",
            "images/0001.png",
            "images/0002.png",
            "images/notes.txt",
        }


def test_rollback_without_a_checkpoint(written, contents, tmp_path):
    written[0].rollback(None)
    assert not {"activations.csv", "images/0001.png", "trace.csv"} & set(contents(tmp_path))
    assert "images/notes.txt" in contents(tmp_path)


def test_rollback_of_what_was_lost_changes_nothing(written, contents, tmp_path):
    folder, meta = written
    before = contents(tmp_path)
    with pytest.raises(RunFolderError, match=r"activations\.csv: has 8 bytes where the checkpoint counts 99"):
        folder.rollback({**meta, "journals": {"activations.csv": 99}})
    with pytest.raises(RunFolderError, match=r"codes\.bin: has 0 bytes where the checkpoint counts 4"):
        folder.rollback({**meta, "journals": {"codes.bin": 4}})
    with pytest.raises(RunFolderError, match=r"0004\.png: missing, but the checkpoint counts 5"):
        folder.rollback({**meta, "images": 5})
    for foreign in ({}, {"images": "many", "journals": {}}, {"images": 1, "journals": 3}):
        with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors: does not say how many"):
            folder.rollback(foreign)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device.*make room on the disk"),
        (errno.EACCES, "Permission denied.*get the right"),
        (errno.EROFS, "Read-only file system.*make the file system writable"),
        (errno.EIO, "Input/output error.*mend the cause"),
    ],
)
def test_errors_of_the_disk_name_file_cause_and_way_on(tmp_path, monkeypatch, number, words):
    with _create(tmp_path) as folder:
        folder.write_summary({"samples": 1})

        def fail(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            for write, name in (
                (folder.write_summary, "summary"),
                (lambda v: folder.update_manifest(**v), "manifest"),
            ):
                with pytest.raises(RunFolderError, match=rf"{name}\.json: cannot be written \({words}.*resume=FOLDER"):
                    write({"samples": 2})
        assert json.loads(folder.paths.summary.read_text()) == {"samples": 1}
        assert "samples" not in folder.manifest
        assert not list(tmp_path.glob(".*.tmp"))


def test_layout_reads_without_a_lock(tmp_path):
    with _create(tmp_path):
        assert Layout(tmp_path).config.read_text() == "unit: fc8:volcano\n"
