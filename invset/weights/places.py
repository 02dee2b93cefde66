"""Where files of weights lie on this machine, and the lock of whoever writes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from invset.errors import WeightsError
from invset.weights import disk
from invset.weights.known import PREFIX, Weights


def folder() -> Path:
    """The folder of weights: `weights` in $INVSET_CACHE, else in $XDG_CACHE_HOME/invset, else in ~/.cache/invset.

    Raises:
        WeightsError: there is no home folder.
    """
    own = os.environ.get("INVSET_CACHE")
    return (_expanded(own) if own else _user_cache() / "invset") / "weights"


def offline() -> bool:
    """Whether INVSET_OFFLINE forbids the network."""
    return os.environ.get("INVSET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def place(weights: Weights) -> Path:
    """Where the cache keeps a file, whether or not it is there."""
    return folder() / weights.file


def located(weights: Weights) -> Path | None:
    """The file of that name in the cache, or, of torchvision's, in torch hub's folder; None if it is in neither.

    Nothing is said about what the file holds.
    """
    return next((path for path in candidates(weights) if path.is_file()), None)


@contextmanager
def held(weights: Weights, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only process that writes this file; `waiting` is called if another one does.

    Raises:
        WeightsError: the folder cannot be written.
    """
    disk.make_folder(folder())
    path = folder() / f".{weights.file}.lock"
    lock = FileLock(path)
    with disk.writing(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def candidates(weights: Weights) -> Iterator[Path]:
    """The places where a file may be: the cache, and for torchvision's torch hub's folder ($TORCH_HOME)."""
    yield place(weights)
    if PREFIX in weights.checksums:
        home = os.environ.get("TORCH_HOME")
        yield (_expanded(home) if home else _user_cache() / "torch") / "hub" / "checkpoints" / weights.file


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if Path(base).is_absolute():  # its specification says to pass over a relative one
        return Path(base)
    return _expanded("~/.cache")


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise WeightsError("There is no home folder: set INVSET_CACHE to a folder for files of weights.") from error
