"""A sweep's jobs on Ray, each by itself: one whose process is lost takes no other with it.

Hydra's plugin for Ray starts it, and knows what a job is; but it asks for results in their order, and at the first
process that was lost forgets the others.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from invset.errors import ConfigError

OF_ONE_STARTED_HERE = ("num_cpus", "num_gpus", "resources", "object_store_memory")  # a cluster has its own


def results(launcher: Any, configs: Sequence[DictConfig]) -> Iterator[tuple[int, JobReturn | str]]:
    """Run the jobs of these configs; yields number and result of each as it comes to its end, or why there is none."""
    with _connected(launcher.ray_cfg.init) as ray:
        from hydra_plugins.hydra_ray_launcher._launcher_util import _run_job

        settings = {key: value for key, value in launcher.ray_cfg.remote.items() if value is not None}
        with _mistakes_in_words():
            begin = ray.remote(**settings)(_there).remote
        state = Singleton.get_state()
        common = {"hydra_context": launcher.hydra_context, "task_function": launcher.task_function}
        given = [{**common, "sweep_config": config, "singleton_state": state} for config in configs]
        # As futures: Ray's own wait makes a SystemError of what a signal raises.
        running: dict[Future[JobReturn], int] = {}
        running.update((begin(Path.cwd(), _run_job, job).future(), number) for number, job in enumerate(given))
        try:
            while running:
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(ended), _result(ended, ray.exceptions)
        finally:
            for job in running:  # of an interruption
                ray.cancel(job.object_ref)  # type: ignore[attr-defined]


def _result(ended: Future[JobReturn], errors: Any) -> JobReturn | str:
    try:
        return ended.result()
    except errors.RayTaskError as error:  # with the traceback
        return _lines(error)[-1]
    except errors.RayError as error:  # of a process that was lost
        return _lines(error)[0]


def _lines(error: Exception) -> list[str]:
    return str(error).strip().splitlines() or [type(error).__name__]


def _there(folder: Path, run: Callable[..., JobReturn], given: dict[str, Any]) -> JobReturn:
    """In the folder that relative paths are meant from, which processes of a cluster were not started in."""
    os.chdir(folder)
    return run(**given)


@contextmanager
def _connected(init: DictConfig) -> Iterator[Any]:
    """Ray, with signals as they were, which it takes over; if it was started here, it ends here."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    import ray

    there_already = ray.is_initialized()
    if not there_already:
        settings: Any = OmegaConf.to_container(init, resolve=True)
        cluster = settings["address"] or os.environ.get("RAY_ADDRESS")
        own = cluster in (None, "local")
        with _mistakes_in_words():
            ray.init(**{key: value for key, value in settings.items() if own or key not in OF_ONE_STARTED_HERE})
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    try:
        yield ray
    finally:
        if not there_already:
            ray.shutdown()


@contextmanager
def _mistakes_in_words() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigError(f"hydra/launcher=ray: {_lines(error)[0]}") from error
