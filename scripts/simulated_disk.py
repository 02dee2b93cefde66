"""A disk that loses what was not forced to it: file operations are watched, and power can be cut at any of them.

A file's bytes are on the disk once it was flushed (fsync), a name once its folder was. Of all else, each operation may
be lost or kept, in any order, and what was written may be cut, or be zeros. Pessimistic: no file system is as bad.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

Inode = int


class PowerCut(BaseException):
    """Nothing that mends errors catches it."""


class Disk:
    """What is on the disk of the files below `root`, which is there already, and what is only with the system.

    `calls` counts operations that change something; at that of number `fatal` the power is cut.
    """

    def __init__(self, root: Path, fatal: int = -1) -> None:
        self.root = root
        self.fatal = fatal
        self.calls = 0
        self._bytes: dict[Inode, bytes] = {}  # on the disk
        self._latest: dict[Inode, bytes] = {}  # of files that have lost their name: as far as written
        self._names: dict[Path, Inode | None] = {}  # on the disk; None: a folder
        self._pending: list[tuple[Path, Path, Inode | str | None]] = []  # folder, name, what it becomes

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what goes through `os`, and `Path.write_bytes`."""
        with (
            mock.patch.multiple(
                os,
                open=self._wrap(os.open, self._opened),
                write=self._wrap(os.write),
                truncate=self._wrap(os.truncate),
                ftruncate=self._wrap(os.ftruncate),
                rename=self._wrap(os.rename, before=self._renaming),
                replace=self._wrap(os.replace, before=self._renaming),
                unlink=self._wrap(os.unlink, before=self._unlinking),
                mkdir=self._wrap(os.mkdir, self._made),
                fsync=self._wrap(os.fsync, self._flushed),
            ),
            mock.patch.object(Path, "write_bytes", _write_bytes),
        ):
            yield

    def leave(self, folder: Path, chance: random.Random) -> None:
        """Write into a new folder what the power cut leaves."""
        names = dict(self._names)
        for _, name, becomes in self._pending:
            if chance.random() < 0.5:
                if becomes == "gone":
                    names.pop(name, None)
                else:
                    names[name] = becomes  # type: ignore[assignment]
        folder.mkdir(parents=True)
        for name, inode in sorted(names.items(), key=lambda item: len(item[0].parts)):
            target = folder / name.relative_to(self.root)
            if not target.parent.is_dir():
                continue  # of a folder that was lost
            if inode is None:
                target.mkdir(exist_ok=True)
            else:
                target.write_bytes(self._torn(inode, chance))

    def _torn(self, inode: Inode, chance: random.Random) -> bytes:
        """Bytes of a file after the cut: what was flushed, what was written since, or some of that."""
        safe, latest = self._bytes.get(inode, b""), self._current(inode)
        if safe == latest or chance.random() < 0.4:
            return latest
        common = _common(safe, latest)
        tail = bytearray(latest[common:])
        kind = chance.randrange(4)
        if kind == 0:
            return safe
        if kind == 1:
            return latest[: common + chance.randrange(len(tail) + 1)]
        start = chance.randrange(len(tail) + 1)
        if kind == 2:
            tail[start:] = bytes(len(tail) - start)
        else:
            tail[:start] = bytes(start)
        return latest[:common] + bytes(tail)

    def _current(self, inode: Inode) -> bytes:
        if inode not in self._latest:
            for path in self.root.rglob("*"):
                if path.is_file() and path.stat().st_ino == inode:
                    return path.read_bytes()
        return self._latest.get(inode, b"")

    def _wrap(
        self,
        real: Callable[..., Any],
        after: Callable[..., None] | None = None,
        before: Callable[..., None] | None = None,
    ) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            changes = real.__name__ != "open" or (args[1] & os.O_CREAT and not Path(args[0]).exists())
            if changes:
                self.calls += 1
                if 0 < self.fatal <= self.calls:  # nothing works after it
                    raise PowerCut
            if before is not None:
                before(*args)
            result = real(*args, **options)
            if after is not None:
                after(result, *args)
            return result

        return call

    def _ours(self, path: Path) -> bool:
        return path.is_relative_to(self.root)

    def _opened(self, file: int, path: Any, flags: int, *_: Any) -> None:
        name = Path(path)
        if flags & os.O_CREAT and self._ours(name):
            known = {**self._names, **{other: inode for _, other, inode in self._pending}}
            inode = os.fstat(file).st_ino
            if known.get(name) != inode:
                self._latest.pop(inode, None)  # a number may be used again
                self._bytes.pop(inode, None)
                self._pending.append((name.parent, name, inode))

    def _made(self, _: Any, path: Any, *__: Any) -> None:
        if self._ours(Path(path)):
            self._pending.append((Path(path).parent, Path(path), None))

    def _keep(self, name: Path) -> None:
        if name.is_file():
            self._latest[name.stat().st_ino] = name.read_bytes()

    def _unlinking(self, path: Any, *_: Any) -> None:
        name = Path(path)
        if self._ours(name) and name.exists():
            self._keep(name)
            self._pending.append((name.parent, name, "gone"))

    def _renaming(self, old: Any, new: Any, *_: Any) -> None:
        source, target = Path(old), Path(new)
        if self._ours(target):
            self._keep(target)
            self._pending.append((target.parent, target, source.stat().st_ino))
            self._pending.append((source.parent, source, "gone"))

    def _flushed(self, _: Any, file: int) -> None:
        path = Path(f"/proc/self/fd/{file}").readlink()
        if not self._ours(path):
            return
        if not path.is_dir():
            self._bytes[path.stat().st_ino] = path.read_bytes()
            return
        for folder, name, becomes in self._pending:
            if folder == path:
                if becomes == "gone":
                    self._names.pop(name, None)
                else:
                    self._names[name] = becomes  # type: ignore[assignment]
        self._pending = [one for one in self._pending if one[0] != path]


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _write_bytes(path: Path, data: bytes) -> int:
    """`Path.write_bytes` by calls that are watched."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        return os.write(file, data)
    finally:
        os.close(file)
