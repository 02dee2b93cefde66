"""Sweeps whose jobs run in other processes, here or on other machines: what became of each is known at the end.

Hydra's launchers stop, or forget the rest, at the first job that was killed. What a sweep came to is noted here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict

from invset.cli.report import shown
from invset.cli.sweep import Job, Sweep, ended, job_of
from invset.errors import ConfigError, InvsetError

OURS = ("submitit_local", "submitit_slurm", "joblib", "ray")  # in configs/hydra/launcher
NOTICE = 0.2  # seconds between looks at which jobs have come to their end


class Outcome(NamedTuple):
    """What a job hands back to the process that launched it: its exit code, and what went wrong."""

    code: int
    error: str | None


@contextmanager
def noting(sweep: Sweep) -> Iterator[None]:
    """While it lasts, `sweep` is told of the jobs that Hydra launches in other processes."""
    instantiate = Plugins.instantiate_launcher
    Plugins.instance()  # finds launchers, each of which brings a config; ours take their place, and say more
    brought = ConfigStore.instance().repo["hydra"]["launcher"]
    for name in OURS:
        brought.pop(f"{name}.yaml", None)

    def instantiated(plugins: Plugins, *, config: DictConfig, **given: Any) -> Launcher:
        chosen = config.hydra.runtime.choices.get("hydra/launcher")
        if not installed(config.hydra.launcher._target_):
            raise ConfigError(f"hydra/launcher={chosen}: not installed: pip install 'invset[{chosen.split('_')[0]}]'")
        launcher = instantiate(plugins, config=config, **given)
        own = config.hydra.launcher._target_.startswith("hydra._internal.")  # in this process, one after another
        return launcher if own else Elsewhere(launcher, config, sweep, given)

    Plugins.instantiate_launcher = instantiated  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Plugins.instantiate_launcher = instantiate  # type: ignore[method-assign]


class Elsewhere(Launcher):
    """Another launcher, with notes taken of what becomes of its jobs."""

    def __init__(self, launcher: Any, config: DictConfig, sweep: Sweep, given: dict[str, Any]) -> None:
        self.launcher = launcher
        self.config = config
        self.sweep = sweep
        self.loader = given["hydra_context"].config_loader

    def setup(self, **given: Any) -> None:
        """Has been done."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the jobs; returns as many results, none of which is an error."""
        self.sweep.folder = Path(str(self.config.hydra.sweep.dir))
        self.sweep.launcher = str(self.config.hydra.runtime.choices.get("hydra/launcher"))
        self.sweep.folder.mkdir(parents=True, exist_ok=True)
        jobs = [self._job(overrides, initial_job_idx + index) for index, overrides in enumerate(job_overrides)]
        if hasattr(self.launcher, "_EXECUTOR"):
            outcomes = self._submitted(job_overrides, initial_job_idx, jobs)
        elif type(self.launcher).__name__ == "RayLauncher":
            outcomes = self._on_ray(job_overrides, initial_job_idx, jobs)
        else:
            outcomes = self._launched(job_overrides, initial_job_idx, jobs)
        for job, outcome in zip(jobs, outcomes, strict=True):
            self.sweep.note(job._replace(error=outcome.error), outcome.code)
        done = JobReturn(status=JobStatus.COMPLETED)
        return [done] * len(jobs)

    def _job(self, overrides: Sequence[str], number: int) -> Job:
        """What is known of a job before it is run."""
        config = self._config(overrides, number)
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        try:
            folder = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
            return job_of(config, folder.resolve(), list(config.hydra.overrides.task), None)
        finally:
            HydraConfig.instance().cfg = before

    def _config(self, overrides: Sequence[str], number: int) -> DictConfig:
        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _launched(self, job_overrides: Sequence[Sequence[str]], first: int, jobs: Sequence[Job]) -> list[Outcome]:
        """By the launcher itself, which loses all results if it loses a process."""
        try:
            return [_outcome(result) for result in self.launcher.launch(job_overrides, first)]
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            outcomes = [_left(job, f"ended before it was done, as a process was lost ({reason})") for job in jobs]
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.tell(outcome.code, outcome.error)
        return outcomes

    def _submitted(self, job_overrides: Sequence[Sequence[str]], first: int, jobs: Sequence[Job]) -> list[Outcome]:
        """By submitit, each job told of as it comes to its end."""
        executor, at_once = self._executor()
        state = Singleton.get_state()
        given = [
            (list(overrides), "hydra.sweep.dir", first + index, f"job {first + index}", state)
            for index, overrides in enumerate(job_overrides)
        ]
        running: dict[int, Any] = {}
        outcomes: dict[int, Outcome] = {}
        begun = 0
        try:
            with _threads(at_once):
                if at_once is None:  # the queue sees to it
                    running = dict(enumerate(executor.map_array(self.launcher, *zip(*given, strict=True))))
                    begun = len(given)
                while begun < len(given) or running:
                    while at_once is not None and begun < len(given) and len(running) < at_once:
                        running[begun] = executor.submit(self.launcher, *given[begun])
                        begun += 1
                    for index, submitted in list(running.items()):
                        if submitted.done():
                            outcome = outcomes[index] = _result(submitted, jobs[index])
                            del running[index]
                            jobs[index].tell(outcome.code, outcome.error)
                    time.sleep(NOTICE)
        finally:
            for submitted in running.values():  # of an interruption
                submitted.cancel(check=False)
        return [outcomes[index] for index in range(len(jobs))]

    def _on_ray(self, job_overrides: Sequence[Sequence[str]], first: int, jobs: Sequence[Job]) -> list[Outcome]:
        """By Ray, each job told of as it comes to its end."""
        from invset.cli import on_ray

        configs = [self._config(overrides, first + index) for index, overrides in enumerate(job_overrides)]
        outcomes: dict[int, Outcome] = {}
        for index, result in on_ray.results(self.launcher, configs):
            if isinstance(result, str):
                outcome = _left(jobs[index], f"Ray has no result of it: {result}")
            else:
                outcome = _outcome(result)
            outcomes[index] = outcome
            jobs[index].tell(*outcome)
        return [outcomes[index] for index in range(len(jobs))]

    def _executor(self) -> tuple[Any, int | None]:
        """Submitit's, as the config has it; and how many jobs are to run at once, where that is not its business."""
        import submitit

        kind = self.launcher._EXECUTOR
        settings = {key: value for key, value in self.launcher.params.items() if value is not None}
        folder, timeouts = settings.pop("submitit_folder"), settings.pop("max_num_timeout", 0)
        at_once = None
        if kind == "local":
            at_once = int(settings.pop("array_parallelism", cores()))
        executor = submitit.AutoExecutor(cluster=kind, folder=folder, **{f"{kind}_max_num_timeout": timeouts})
        shared = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node"}
        shared.add("stderr_to_stdout")
        executor.update_parameters(
            **{key if key in shared else f"{kind}_{key}": value for key, value in settings.items()}
        )
        return executor, at_once


def installed(target: str) -> bool:
    """Whether the package of a launcher's class is here."""
    try:
        return find_spec(".".join(target.split(".")[:2])) is not None
    except ModuleNotFoundError:  # no launcher is
        return False


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _threads(at_once: int | None) -> Iterator[None]:
    """Torch's threads for processes that share a machine, unless the user has said how many."""
    if at_once is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // at_once))
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]


def _result(submitted: Any, job: Job) -> Outcome:
    try:
        return _outcome(submitted.results()[0])
    except Exception:  # submitit's, of a process that left no result
        return _left(job, f"its process was ended from outside; what it printed: {shown(submitted.paths.stderr)}")


def _outcome(result: JobReturn) -> Outcome:
    if result.status == JobStatus.COMPLETED:
        return Outcome(*result.return_value)
    error = result._return_value
    return Outcome(1, f"{type(error).__name__}: {error}")


def _left(job: Job, error: str) -> Outcome:
    """What a job left that did not come back: it may have been done already."""
    from invset.cli.sample import NOT_REACHED

    try:
        status = ended(job.folder, job.overrides)
    except InvsetError as damaged:
        return Outcome(damaged.exit_code, str(damaged))
    if status is None:
        return Outcome(1, error)
    return Outcome(0 if status == "complete" else NOT_REACHED, None)
