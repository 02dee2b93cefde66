"""One file out of a .zip, .tar or .tar.gz. No name in the archive is ever used as a path."""

from __future__ import annotations

import errno
import shutil
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO

from invset.weights.known import SourceError


def extract(path: Path, members: Collection[str], target: Path) -> None:
    """Write a file in an archive to `target`.

    Args:
        path: the archive.
        members: the file's path in it, or the end of that, as `fc6/generator.caffemodel`; any of these.
        target: where to.

    Raises:
        SourceError: the archive is damaged, or has no such file.
        OSError: the archive cannot be read, or `target` not written.
    """
    try:
        with target.open("wb") as copy:
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as zipped, zipped.open(_find(members, zipped.namelist())) as content:
                    shutil.copyfileobj(content, copy)
            else:
                _copy_from_tar(path, members, copy)
    except SourceError:
        raise
    except Exception as error:  # of a damaged archive the libraries raise all sorts
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of the disk, not of a bad seek
            raise
        raise SourceError("it is no whole .zip or .tar.gz") from error


def _copy_from_tar(path: Path, members: Collection[str], copy: IO[bytes]) -> None:
    with tarfile.open(path) as packed:
        content = packed.extractfile(_find(members, packed.getnames()))
        assert content is not None
        assert packed.fileobj is not None
        shutil.copyfileobj(content, copy)
        while packed.fileobj.read(1 << 20):  # to the end, where gzip compares its checksum
            pass


def _find(members: Collection[str], names: Collection[str]) -> str:
    for name in names:
        if any(f"/{name}".endswith(f"/{member}") for member in members):
            return name
    raise SourceError(f"the archive holds no file {' or '.join(members)}")
