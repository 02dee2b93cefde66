"""Errors of the disk in one line, and writing that leaves the old file or the new one."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from invset.errors import RunFolderError, WeightsError
from invset.files import describing, user_path, write_atomically


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, r"cannot be written \(No space left on device\): make room on the disk, then try again\."),
        (errno.EACCES, r"cannot be written \(Permission denied\): get the right to do so, then try again\."),
        (errno.EIO, r"cannot be written \(Input/output error\): mend that, then try again\."),
    ],
)
def test_an_error_of_the_disk_is_one_line(tmp_path: Path, number: int, words: str) -> None:
    with (
        pytest.raises(RunFolderError, match=f"^{tmp_path}: {words}$"),
        describing(RunFolderError, tmp_path, ", then try again"),
    ):
        raise OSError(number, os.strerror(number))


def test_other_errors_pass_and_the_class_and_the_action_are_the_callers(tmp_path: Path) -> None:
    with pytest.raises(KeyError), describing(WeightsError, tmp_path, ""):
        raise KeyError
    absent = tmp_path / "absent"
    with pytest.raises(WeightsError, match="absent: cannot be read"), describing(WeightsError, absent, "", "read"):
        absent.read_bytes()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """With a limit on file sizes, which the system enforces as it does the end of a disk."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_as_users_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/who")
    assert user_path("~/file") == Path("/home/who/file")
    assert user_path("~nobody-of-that-name/file") == Path("~nobody-of-that-name/file")
