"""Standard output and error that cannot end a run: what can no longer be printed is dropped."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, Any


class _Forgiving(io.FileIO):
    """A file that, once it cannot be written, swallows all that comes, from child processes too."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno != errno.EPIPE and self.fileno() == 1:  # who closes a pipe has seen enough
                print(f"invset: standard output is lost ({error.strerror}); going on without it.", file=sys.stderr)
            return len(memoryview(data).cast("B"))


def forgive() -> None:
    """From here on, no closed pipe or full disk at the other end of what is printed is an error."""
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)


def _forgiving(stream: Any) -> IO[str]:
    if stream is None:  # closed by the shell, as by >&-; files opened later shall not get its number
        nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115
        os.set_inheritable(nowhere.fileno(), True)
        return nowhere
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
