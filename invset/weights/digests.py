"""Checksums of a file, all in one reading, and what they say about it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from invset.errors import WeightsError
from invset.weights.known import PREFIX, Weights

_PIECE = 1 << 20


def digests(path: Path, algorithms: Iterable[str], seen: Callable[[int], None] | None = None) -> dict[str, str]:
    """Algorithm to hex; SHA-256 always. `seen` is told how many bytes have been read.

    Raises:
        WeightsError: the file cannot be read.
    """
    names = {"sha256", *(name for name in algorithms if name != PREFIX)}
    running = {name: hashlib.new(name, usedforsecurity=False) for name in sorted(names)}
    done = 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                for digest in running.values():
                    digest.update(piece)
                done += len(piece)
                if seen is not None:
                    seen(done)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}). Get the right to read it.") from error
    return {name: digest.hexdigest() for name, digest in running.items()}


def difference(weights: Weights, size: int, found: Mapping[str, str]) -> str | None:
    """What tells a file of that size and those checksums from the published one; None if nothing does."""
    if weights.size is not None and size != weights.size:
        return f"its size is {size:,} bytes, not {weights.size:,}"
    for algorithm, wanted in weights.checksums.items():
        have = found["sha256"] if algorithm == PREFIX else found[algorithm]
        if algorithm == PREFIX:
            if not have.startswith(wanted):
                return f"its sha256 is {have}, and should begin with {wanted}"
        elif have != wanted:
            return f"its {algorithm} is {have}, not {wanted}"
    return None


def looks_like_a_page(path: Path) -> bool:
    """Whether a file begins as a web page or an XML message does; no file of weights does."""
    try:
        with path.open("rb") as file:
            start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")[:2]
    except OSError:
        return False
    return start[:1] == b"<" and (start[1:].isalpha() or start[1:] in (b"!", b"?"))
