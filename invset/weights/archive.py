"""One file out of a .zip, .tar or .tar.gz that a stranger packed.

No name in the archive is ever used as a path: what is wanted is written to the one path asked for. Memory and time
are bounded whatever the archive claims, which is why a tar is walked here header by header: `tarfile` reads the
extended headers of a tar whole, however long they are.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from invset.errors import WeightsError
from invset.weights import disk
from invset.weights.known import SourceError

LARGEST = 4 << 30  # bytes of a file whose size is not published
_UNPACKED = 4 * LARGEST  # bytes of a whole tar
_LIST = 8 << 20  # bytes of a zip's list of contents, which is read whole
_PIECE = 1 << 20
_BLOCK = tarfile.BLOCKSIZE

Seen = Callable[[int], None]


class _Readable(Protocol):
    def read(self, count: int = -1, /) -> bytes: ...


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip or a gzip does, or holds a tar's mark."""
    with _blaming(path), path.open("rb") as file:
        start = file.read(_BLOCK)
    return start[:4] == b"PK\x03\x04" or start[:2] == b"\x1f\x8b" or start[257:262] == b"ustar"


def extract(path: Path, member: str, target: Path, size: int | None = None, seen: Seen | None = None) -> None:
    """Write the regular file `member` (its path in the archive, or the end of it) to `target`.

    Args:
        path: the archive.
        member: as `fc6/generator.caffemodel`.
        target: where to.
        size: in bytes, if it is known; else it may be no more than `LARGEST`.
        seen: told how many bytes have been written.

    Raises:
        SourceError: the archive is damaged, or has no such file, or one of another size.
        WeightsError: `target` cannot be written.
    """
    with _blaming(path), path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            _from_zip(file, member, target, size, seen)
        elif start[:2] == b"\x1f\x8b":
            with gzip.open(file) as unzipped:
                _from_tar(unzipped, member, target, size, seen)
        else:
            _from_tar(file, member, target, size, seen)


def _from_zip(file: IO[bytes], member: str, target: Path, size: int | None, seen: Seen | None) -> None:
    _refuse_long_list(file)
    with zipfile.ZipFile(file) as packed:
        found = [info for info in packed.infolist() if not info.is_dir() and _is_wanted(info.filename, member)]
        if len(found) != 1:
            raise SourceError(f"the archive holds {len(found) or 'no'} files {member}")
        mode = found[0].external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise SourceError(f"{member} in the archive is not a regular file")
        _require_size(member, found[0].file_size, size)
        with packed.open(found[0]) as content:
            _copy(content, found[0].file_size, member, target, seen)
            if content.read(1):  # also what makes zipfile compare the CRC
                raise SourceError(f"{member} in the archive is longer than the archive says")


def _refuse_long_list(file: IO[bytes]) -> None:
    """Raise for a list of contents that would fill the memory, and for the 64-bit kind, which can hide one."""
    end = file.seek(0, 2)
    file.seek(max(0, end - (1 << 16) - 22 - 20))
    tail = file.read()
    record = tail.rfind(b"PK\x05\x06")
    long = record >= 0 and int.from_bytes(tail[record + 12 : record + 16], "little") > _LIST
    if long or b"PK\x06\x07" in tail[max(0, record - 20) :]:
        raise SourceError("the archive's list of contents is too long")


def _from_tar(file: _Readable, member: str, target: Path, size: int | None, seen: Seen | None) -> None:
    """Walk the headers of a tar; the first file of that name is the one."""
    unpacked = 0
    while (block := _read(file, _BLOCK)) and block.strip(b"\0"):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if info.size < 0:
            raise SourceError("the archive is damaged (a size below zero)")
        unpacked += _BLOCK + info.size
        if unpacked > _UNPACKED:
            raise SourceError("the archive is too large once it is unpacked")
        if _is_wanted(info.name, member):
            if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise SourceError(f"{member} in the archive is not a regular file")
            _require_size(member, info.size, size)
            _copy(file, info.size, member, target, seen)
            _read_out(file, _UNPACKED - unpacked)
            return
        _skip(file, -(-info.size // _BLOCK) * _BLOCK)
    raise SourceError(f"the archive holds no file {member}")


def _read_out(file: _Readable, most: int) -> None:
    """Read what is left, for gzip compares its CRC at the end."""
    while piece := file.read(_PIECE):
        most -= len(piece)
        if most < 0:
            raise SourceError("the archive is too large once it is unpacked")


def _is_wanted(name: str, member: str) -> bool:
    """Whether a name in an archive ends in the member's; a name that climbs or starts at the root never does."""
    parts, wanted = PurePosixPath(name).parts, PurePosixPath(member).parts
    return not name.startswith(("/", "\\")) and ".." not in parts and parts[-len(wanted) :] == wanted


def _require_size(member: str, found: int, size: int | None) -> None:
    if size is not None and found != size:
        raise SourceError(f"{member} in the archive has {found:,} bytes, not {size:,}")
    if found > LARGEST:
        raise SourceError(f"{member} in the archive has {found:,} bytes, more than any file of weights")


def _copy(content: _Readable, size: int, member: str, target: Path, seen: Seen | None) -> None:
    with disk.writing(target):
        copy = target.open("wb")
    done = 0
    with _closing(copy, target):
        while done < size:
            piece = content.read(min(_PIECE, size - done))
            if not piece:
                raise SourceError(f"the archive ends in the middle of {member}")
            with disk.writing(target):
                copy.write(piece)
            done += len(piece)
            if seen is not None:
                seen(done)


@contextmanager
def _closing(file: IO[bytes], target: Path) -> Iterator[None]:
    try:
        yield
    finally:
        with disk.writing(target):  # the last bytes are written here
            file.close()


def _skip(file: _Readable, count: int) -> None:
    while count:
        piece = file.read(min(_PIECE, count))
        if not piece:
            raise SourceError("the archive ends too early")
        count -= len(piece)


def _read(file: _Readable, count: int) -> bytes:
    data = file.read(count)
    if data and len(data) < count:
        raise SourceError("the archive ends too early")
    return data


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Say of whatever the libraries for archives trip over that the archive is damaged: they raise all sorts."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path.name} is not an archive that can be read ({detail})") from error
