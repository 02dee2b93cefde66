"""Runs a command through Hydra, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from invset.cli import streams
from invset.cli.compose import register_schemas, require_known
from invset.cli.help import config_folder
from invset.cli.hydra_errors import describe_error
from invset.cli.overrides import normalise
from invset.cli.signals import Interrupted, as_exceptions
from invset.cli.sweep import jobs
from invset.errors import ConfigError, InvsetError, RunFolderError
from invset.names import legible
from invset.run.layout import Layout

LONG = 300  # characters of an error that is no message of ours
RESOLVER = "invset.unique_folder"  # in configs/sample.yaml, around the folder that has the time as its name
ONLY_SHOW = ("-c", "--cfg", "-i", "--info")  # flags with which Hydra prints configs and does nothing
NOT_REACHED = 3  # exit code of a run that has not all its samples
Task = Callable[[DictConfig], int]
"""A command's work on its composed config; returns the exit code."""


def launch(command: str, task: Task, arguments: list[str]) -> int:
    """Compose the config of `command` from Hydra's arguments and do the work, once or for each job of a sweep."""
    register_schemas()
    _register_unique_folder(arguments)
    worst = 0
    bug: Exception | None = None  # a mistake in the program, not in the arguments
    here = os.getpid()
    jobs.launched = None

    def work(config: DictConfig) -> int:
        nonlocal worst, bug
        elsewhere = os.getpid() != here
        if elsewhere:
            streams.forgive()
        try:
            # Any other process than the one that was launched knows Ctrl-C by Python's own exception only. What a
            # launcher has made of other signals stays: Slurm's are submitit's.
            with as_exceptions([signal.SIGINT]) if elsewhere else nullcontext():
                require_known(config, command)
                code = task(config)
        except (InvsetError, OmegaConfBaseException) as error:
            mistake = error if isinstance(error, InvsetError) else ConfigError(describe_error(error, command))
            code = complain(mistake)
            if jobs.in_sweep():
                jobs.write_failure(str(mistake))
            else:
                _remove_empty_folder()
        except Interrupted:
            if not jobs.in_sweep():
                _remove_empty_folder()
            raise
        except Exception as error:
            bug = error
            if elsewhere:
                traceback.print_exc()  # which does not travel
            raise
        worst = max(worst, code)
        return code

    # Hydra would print a traceback of its own and leave; with this it lets exceptions through.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    before, sys.argv = sys.argv, ["invset", *_in_order(map(normalise, arguments))]
    try:
        try:
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command)(work)()
        except SystemExit as stop:  # argparse has said what is wrong
            return stop.code if isinstance(stop.code, int) else 2
        except Exception as error:
            if error is bug or isinstance(error, InvsetError):
                raise
            if jobs.launched is None or isinstance(error, HydraException | OmegaConfBaseException):
                return complain(_translate(error, command))
            # The launcher's, which may have lost a process; others may have gone on.
            worst = complain(InvsetError(f"{type(error).__name__}: {' '.join(str(error).split())[:LONG]}"))
        if jobs.launched is None:
            return worst

        from invset.cli.overview import write_overview

        return max(worst, write_overview(jobs.launched, Console()))
    except Interrupted:
        if jobs.launched is not None:
            jobs.say_how_to_go_on(jobs.launched, arguments)
        raise
    finally:
        sys.argv = before


def _translate(error: Exception, command: str) -> InvsetError:
    """An error of Hydra's in our words. Any other error is raised again."""
    if isinstance(error, HydraException | OmegaConfBaseException | ValueError):
        return ConfigError(describe_error(error, command))
    if isinstance(error, OSError):
        return RunFolderError(f"{error.filename}: {error.strerror}; choose another hydra.run.dir.")
    raise error


def complain(error: InvsetError) -> int:
    """Print an error; returns the exit code it stands for."""
    print(f"invset: {legible(str(error))}", file=sys.stderr)
    return error.exit_code


def _in_order(arguments: Iterable[str]) -> list[str]:
    """Overrides before flags: Hydra takes them in one row only, and people write -m in the middle."""
    return sorted(arguments, key=lambda argument: argument.startswith("-") or "=" not in argument)


def _remove_empty_folder() -> None:
    """Remove the folder that Hydra made for a run that never began."""
    config = HydraConfig.get()
    folder, inner = Path(config.runtime.output_dir), config.output_subdir
    if inner is None or Layout(folder).config.exists() or {path.name for path in folder.iterdir()} != {inner}:
        return
    shutil.rmtree(folder)
    for parent in folder.parents:
        if not parent.is_relative_to(Path.cwd() / "outputs") or any(parent.iterdir()):
            return
        parent.rmdir()


def _register_unique_folder(arguments: Sequence[str]) -> None:
    """For one launch: two runs or sweeps of one second do not share the folder that their config names."""
    shows = any(argument.partition("=")[0] in ONLY_SHOW for argument in arguments)
    made: dict[str, str] = {}

    def unique(wanted: str) -> str:
        if wanted not in made:
            made[wanted] = wanted if shows else make_folder(wanted)
        return made[wanted]

    OmegaConf.register_new_resolver(RESOLVER, unique, replace=True)


def make_folder(wanted: str, number: int = 1) -> str:
    """Make the folder, or where there is one of that name, one with -2, -3 … behind it; returns its name.

    What stands in the way of making any is left to those who write into it: they say what is wrong.
    """
    name = wanted if number == 1 else f"{wanted}-{number}"
    try:
        Path(name).mkdir(parents=True)
    except FileExistsError:
        return make_folder(wanted, number + 1)
    except OSError:
        pass
    return name
