"""The next step is taken while the last is written: a device computes, and the processor compresses and writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch

from invset.core.method import ACTIVE, Method, Step


class Pipelined:
    """A method's steps, in order, of which one may be taken early. To be used in a `with`.

    A step that is taken early and never asked for was for nothing; what it raises is raised when it is asked for.
    On a GPU the work has a stream of its own: on the step's, each of its copies would wait for the step.
    """

    def __init__(self, method: Method, device: torch.device) -> None:
        self._method = method
        self._device = device
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="invset-writer")
        self._early: Future[tuple[Any, Step]] | None = None
        self._stream: torch.cuda.Stream | None = None

    def step(self, state: Any) -> tuple[Any, Step]:
        """The step from `state`: taken already, or taken now."""
        early, self._early = self._early, None
        return self._method.step(state) if early is None else early.result()

    def write(self, work: Callable[[], int], following: Any) -> int:
        """What `work` returns; done on another thread while the step from `following` is taken here, if there is one.

        It ends when the work has ended. What happens here meanwhile, an interrupt too, is raised when the step is asked
        for: then what was written has been counted.
        """
        if following is None or following.phase not in ACTIVE:
            return work()
        if self._device.type == "cuda":
            work = partial(_run_on, self._beside(), work)
        try:
            writing = self._writer.submit(work)
        except RuntimeError:  # "can't start new thread": from here on all is written here
            self._writer.shutdown(cancel_futures=True)  # or a thread started later would do this work again
            return work()
        self._early = _settle(lambda: self._method.step(following))
        while not writing.done():
            waited = _settle(lambda: wait([writing]))
            if waited.exception() is not None:
                self._early = waited  # an interrupt
        return writing.result()

    def _beside(self) -> torch.cuda.Stream:
        """A stream of its own, whose next work comes after all that was launched so far."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        return self._stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.shutdown()
        early = self._early
        if error is None and early is not None and not isinstance(early.exception(), Exception | None):
            early.result()  # an interrupt is not lost with a step that nobody asked for


def _run_on(stream: torch.cuda.Stream, work: Callable[[], int]) -> int:
    with torch.cuda.stream(stream):
        return work()


def _settle(work: Callable[[], Any]) -> Future[Any]:
    settled: Future[Any] = Future()
    try:
        settled.set_result(work())
    except BaseException as error:
        settled.set_exception(error)
    return settled
