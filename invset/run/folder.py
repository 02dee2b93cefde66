"""A run's folder, held by one process: begun, or opened again at its last checkpoint."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from invset.errors import RunFolderError
from invset.files import temporary_name
from invset.run.journals import Growing
from invset.run.json_files import read_json, write_atomically, write_json, writing
from invset.run.layout import Layout

_ANEW = "start a new run in another folder"


def extent(images: int, *journals: Growing) -> dict[str, Any]:
    """How much of the folder a checkpoint stands for: entries of its meta, for `RunFolder.rollback`.

    `images` is the number of images written; every journal in use is to be given.
    """
    return {"images": images, "journals": {journal.path.name: journal.length for journal in journals}}


class RunFolder:
    """A locked run folder. Make one with `create` or `reopen`; close it, or use it in a `with`."""

    def __init__(self, paths: Layout, lock: int, manifest: dict[str, Any]) -> None:
        self.paths = paths
        self.manifest = manifest
        self._lock = lock

    @classmethod
    def create(cls, path: Path, config_text: str, manifest: Mapping[str, Any]) -> RunFolder:
        """Begin a run: make the folder, lock it, and write its manifest, then its config.

        Raises:
            RunFolderError: the folder holds a run already, or images of something else, is being written by
                another process, or cannot be made or written.
        """
        paths = Layout(path)
        _refuse_second_run(paths)
        try:
            paths.images.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"{path}: cannot be made a run folder ({error.strerror}: {error.filename}). Choose another "
                "folder, or get the right to write there."
            ) from error
        held = _lock(paths.lock)
        try:
            _refuse_second_run(paths)  # another process may have been quicker
            if any(paths.images.iterdir()):
                raise RunFolderError(f"{paths.images}: holds files, but of no run. Choose another folder.")
            write_json(paths.manifest, manifest)
            write_atomically(paths.config, config_text.encode())
            return cls(paths, held, read_json(paths.manifest))
        except BaseException:
            os.close(held)
            raise

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Open the folder of an earlier run to write on; `rollback` is the next thing to do.

        Raises:
            RunFolderError: there is no run in it, its manifest is damaged, another process is writing it, or
                it cannot be written.
        """
        paths = Layout(path)
        if not paths.config.is_file():
            raise RunFolderError(f"{path}: there is no run here to continue. Mend the path, or start a run.")
        held = _lock(paths.lock)
        try:
            return cls(paths, held, read_json(paths.manifest))
        except BaseException:
            os.close(held)
            raise

    def update_manifest(self, **entries: Any) -> None:
        """Set entries of the manifest, and write it atomically.

        Raises:
            RunFolderError: it cannot be written; the old one stays.
        """
        write_json(self.paths.manifest, {**self.manifest, **entries})
        self.manifest = read_json(self.paths.manifest)

    def rollback(self, meta: Mapping[str, Any] | None) -> None:
        """Take images and journals back to a checkpoint; to be called before journals are opened.

        Journals are cut to their lengths there; journals it does not know, newer images, and files left half
        written are removed. Grids, summary and codes.safetensors stay until they are written again.
        Killed half way, it can be repeated.

        Args:
            meta: the checkpoint's, with the entries of `extent`; None without a checkpoint: everything goes.

        Raises:
            RunFolderError: something the checkpoint counts is missing (nothing is changed then), or a file
                cannot be written.
        """
        images, lengths = (0, {}) if meta is None else _extent_of(meta, self.paths.checkpoint)
        self._require(images, lengths)
        for journal in self.paths.journals:
            with writing(journal):
                if journal.name in lengths:
                    os.truncate(journal, lengths[journal.name])
                else:
                    journal.unlink(missing_ok=True)
        with writing(self.paths.images):
            self.paths.images.mkdir(exist_ok=True)
            for image in list(self.paths.images.glob("[0-9]*.png")):
                if image.stem.isdecimal() and int(image.stem) > images:
                    image.unlink()
            for folder in (self.paths.root, self.paths.images):
                for leftover in list(folder.glob(temporary_name("*"))):
                    leftover.unlink()

    def close(self) -> None:
        """Give the lock back; a second time does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require(self, images: int, lengths: Mapping[str, int]) -> None:
        for name, length in lengths.items():
            journal = self.paths.root / name
            size = journal.stat().st_size if journal.is_file() else 0
            if size < length:
                raise RunFolderError(
                    f"{journal}: has {size} bytes where the checkpoint counts {length}; its end was lost, or the file "
                    f"edited. Put it back as the run left it, or {_ANEW}."
                )
        for image in map(self.paths.image, range(1, images + 1)):
            if not image.is_file():
                raise RunFolderError(
                    f"{image}: missing, but the checkpoint counts {images} images. Put it back, or {_ANEW}."
                )


def _lock(path: Path) -> int:
    """Lock the file at `path` (made if missing) for this process; returns the descriptor that holds the lock.

    It goes when its holder does, however it dies. The file itself stays for good: removing it would let two processes
    lock two files of one name.
    """
    with writing(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise RunFolderError(
                f"{path.parent}: another process is writing this run. Wait for it, end it, or choose another folder."
            ) from error
        raise RunFolderError(
            f"{path}: cannot be locked ({error.strerror}). Choose a folder on a file system that has locks."
        ) from error
    return file


def _refuse_second_run(paths: Layout) -> None:
    if paths.config.exists():
        raise RunFolderError(f"{paths.root}: holds a run already. Resume it, or choose another folder.")


def _extent_of(meta: Mapping[str, Any], checkpoint: Path) -> tuple[int, dict[str, int]]:
    try:
        return int(meta["images"]), {str(name): int(length) for name, length in meta["journals"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunFolderError(f"{checkpoint}: no checkpoint of this version of invset: {_ANEW}.") from error


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock at `path`."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False
