"""One command on several processes, as torchrun starts them: the first does it, the others share its steps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from invset.errors import RanksError
from invset.settings import SampleSettings

if TYPE_CHECKING:
    from invset.assemble.sampling import Sampling
    from invset.passes.ranks import Ranks

PLACES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # that torchrun tells its processes

_ranks: Ranks | None = None  # of this process, which is the first of several
_joined = False


def share(work: Callable[[], int]) -> int:
    """The work's exit code; on a process that is not the first of several, take part in what the first one does."""
    global _ranks, _joined
    if not all(name in os.environ for name in PLACES) or int(os.environ["WORLD_SIZE"]) < 2:
        return work()
    import torch

    from invset.passes.ranks import Ranks

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    ranks = Ranks.join()
    _joined = True
    if ranks.number:
        return _follow(ranks)
    _ranks = ranks
    try:
        return work()
    finally:
        _ranks = None
        if not ranks.broken:
            with suppress(RanksError):
                ranks.announce(("end",))
        ranks.leave()


def end(code: int) -> None:
    """End this process if it was one of several: their threads can abort one that ends as others do."""
    if _joined:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def assemble(settings: SampleSettings) -> Sampling:
    """What settings assemble to; on several processes, the same on each."""
    if _ranks is None:
        return _build(settings, None)
    from invset.run.first_rank import Leading

    _ranks.announce(("sample", settings))
    built = _build(settings, _ranks)
    return replace(built, method=Leading(built.method, _ranks))


def _build(settings: SampleSettings, ranks: Ranks | None) -> Sampling:
    from invset.assemble import sampling
    from invset.cli.fetching import fetch_for_run

    if ranks is None:
        return sampling.assemble(settings, fetch_for_run)
    return ranks.attempt(lambda: sampling.assemble(settings, fetch_for_run, ranks))


def _follow(ranks: Ranks) -> int:
    from invset.run.first_rank import follow

    message = ranks.announce()
    while message[0] == "sample":
        try:
            built = _build(message[1], ranks)
        except Exception as error:
            if error is not ranks.failure:
                raise
            message = ranks.announce()
        else:
            message = follow(built.method, ranks, built.models.device)
    ranks.leave()
    return 0
