"""A run's folder, held by one process: begun, or opened again at its last checkpoint."""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from invset.errors import RunFolderError
from invset.files import describing, open_regular, read_regular, remove_temporary
from invset.run.journals import Growing, checksum, read_checksums
from invset.run.json_files import LARGEST, read_json, write_atomically, write_json, writing
from invset.run.layout import Layout

_ANEW = "start a new run in another folder"


def extent(images: int, *journals: Growing) -> dict[str, Any]:
    """How much of the folder a checkpoint stands for: entries of its meta, for `RunFolder.check` and `rollback`.

    `images` is the number of images written; every journal in use is to be given.
    """
    return {"images": images, "journals": {one.path.name: [one.length, one.checksum] for one in journals}}


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
            write_atomically(paths.config, config_text.encode(), flushed=True)
            return cls(paths, held, read_json(paths.manifest))
        except BaseException:
            os.close(held)
            raise

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Open the folder of an earlier run to write on, without what was left half written; `rollback` comes next.

        Raises:
            RunFolderError: there is no run in it, its manifest is damaged, another process is writing it, or
                it cannot be written.
        """
        paths = Layout(path)
        if not paths.config.is_file():
            raise RunFolderError(f"{path}: there is no run here to continue. Mend the path, or start a run.")
        held = _lock(paths.lock)
        try:
            with writing(path):
                remove_temporary(path, paths.images)
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

    def check(self, meta: Mapping[str, Any]) -> list[int]:
        """The numbers of the images that a checkpoint counts and that are not there as they were written.

        Args:
            meta: the checkpoint's, with the entries of `extent`.

        Raises:
            RunFolderError: a journal is not as the checkpoint counts it, and cannot be gone on with.
        """
        images, journals = _extent_of(meta, self.paths.checkpoint)
        for journal in self.paths.journals:
            length, expected = journals.get(journal.name, (0, 0))
            with describing(RunFolderError, journal, f", or {_ANEW}", action="read"):
                size = journal.stat().st_size if journal.is_file() else 0
                changed = size < length or (length and checksum(journal, length) != expected)
            if changed:
                raise RunFolderError(
                    f"{journal}: its first {length} bytes are not as they were written; some were lost, or the file "
                    f"edited. Put it back as the run left it, or {_ANEW}."
                )
        written = read_checksums(self.paths.checksums, images) if images else []
        return [number for number, one in enumerate(written, 1) if checksum_of(self.paths.image(number)) != one]

    def rollback(self, meta: Mapping[str, Any] | None) -> None:
        """Take images and journals back to a checkpoint, checked before; to be called before journals are opened.

        Journals are cut to their lengths there; journals it does not know, and newer images, are removed. Grids,
        summary and codes.safetensors stay until they are written again.
        Killed half way, it can be repeated.

        Args:
            meta: the checkpoint's, with the entries of `extent`; None without a checkpoint: everything goes.

        Raises:
            RunFolderError: a file cannot be written.
        """
        images, journals = (0, {}) if meta is None else _extent_of(meta, self.paths.checkpoint)
        for journal in self.paths.journals:
            with writing(journal):
                if journal.name in journals:
                    file = open_regular(journal, os.O_WRONLY)
                    try:
                        os.ftruncate(file, journals[journal.name][0])
                    finally:
                        os.close(file)
                else:
                    journal.unlink(missing_ok=True)
        with writing(self.paths.images):
            self.paths.images.mkdir(exist_ok=True)
            for image in list(self.paths.images.glob("[0-9]*.png")):
                if image.stem.isdecimal() and int(image.stem) > images:
                    image.unlink()

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


def _lock(path: Path) -> int:
    """Lock the file at `path` (made if missing) for this process; returns the descriptor that holds the lock.

    It goes when its holder does, however it dies. The file itself stays for good: removing it would let two processes
    lock two files of one name.
    """
    with writing(path):
        file = open_regular(path, os.O_RDWR | os.O_CREAT)
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


def _extent_of(meta: Mapping[str, Any], path: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    try:
        journals = {str(name): (int(length), int(value)) for name, (length, value) in meta["journals"].items()}
        return int(meta["images"]), journals
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise RunFolderError(f"{path}: no checkpoint of this version of invset: {_ANEW}.") from error


def checksum_of(path: Path) -> int | None:
    """The CRC-32 of a file, None if there is none that can be read."""
    try:
        with read_regular(path, LARGEST) as file:
            return zlib.crc32(file.read())
    except OSError:
        return None


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock at `path`."""
    try:
        with read_regular(path, LARGEST) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False
