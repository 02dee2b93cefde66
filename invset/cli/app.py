"""Runs a command through Hydra, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset.cli import labelled, launching, own_folder, schema
from invset.cli.signals import Interrupted, as_exceptions
from invset.cli.sweep import Sweep
from invset.cli.wording import OPTIONS, advice, in_words
from invset.cli.wording import config_folder as config_folder  # for who has it from here
from invset.errors import ConfigError, InvsetError, RunFolderError
from invset.run.layout import Layout

Task = Callable[[DictConfig], int]
"""A command's work on its composed config; returns the exit code."""


def launch(command: str, task: Task, arguments: list[str]) -> int:
    """Compose the config of `command` from Hydra's arguments and do the work, once or for each job of a sweep."""
    schema.register()
    own_folder.register(arguments)
    worst = 0
    own: Exception | None = None  # of the task: a mistake in the program, not in the arguments
    sweep = Sweep()
    here = os.getpid()

    def guarded(config: DictConfig) -> tuple[int, str | None]:
        # Another process than the one that was launched knows Ctrl-C by Python's own exception only. What a launcher
        # has made of other signals stays: Slurm's are submitit's.
        with ExitStack() as stack:
            if os.getpid() != here:
                stack.enter_context(as_exceptions([signal.SIGINT]))
                stack.enter_context(labelled.job_lines())
            return done(config)

    def done(config: DictConfig) -> tuple[int, str | None]:
        nonlocal worst, own
        wrong = None
        sweep.begin()
        try:
            _require_known(config, command)
            code = task(config)
        except InvsetError as error:
            code, wrong = complain(error), str(error)
            _sweep_up()
        except Exception as error:
            own = error
            if os.getpid() != here:
                traceback.print_exc()  # which does not travel
            raise
        worst = max(worst, code)
        sweep.end(config, wrong)
        return code, wrong

    # Hydra would print a traceback of its own and leave; with this it lets exceptions through.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    before, sys.argv = sys.argv, ["invset", *_in_order(map(_without_plus, arguments))]
    try:
        with launching.noting(sweep):
            hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command)(guarded)()
    except Interrupted:
        if command == "sample":
            sweep.say_how_to_go_on()
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if error is own:
            raise
        return complain(ConfigError(in_words(error, command, arguments)))
    except OSError as error:
        if error is own:
            raise
        return complain(RunFolderError(f"{error.filename}: {error.strerror}; choose another hydra.run.dir."))
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else 2
    finally:
        sys.argv = before
    if command == "sample":
        worst = max([worst, sweep.worst, *map(complain, sweep.conclude())])
    return worst


def composed(command: str, overrides: Sequence[str]) -> Any:
    """The config that a command would have with these overrides; inside a job, with the job's own folders of configs.

    Raises:
        ConfigError: there is no such setting, or it cannot have that value.
    """
    schema.register()
    begun = GlobalHydra.instance().is_initialized()
    where = nullcontext() if begun else hydra.initialize_config_dir(str(config_folder()), version_base="1.3")
    try:
        with where:
            return OmegaConf.to_object(hydra.compose(command, list(overrides)))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise ConfigError(in_words(error, command, overrides)) from error


def complain(error: InvsetError) -> int:
    """Print an error; returns the exit code it stands for."""
    print(f"invset: {error}", file=sys.stderr)
    return error.exit_code


def _without_plus(argument: str) -> str:
    """An experiment as Hydra's manual writes it, +experiment=linear, though the defaults name the group."""
    return argument.removeprefix("+") if argument.startswith("+experiment=") else argument


def _in_order(arguments: Iterable[str]) -> list[str]:
    """Overrides before flags: Hydra takes them in one row only, and people write -m in the middle."""
    return sorted(arguments, key=lambda argument: argument.startswith("-") or "=" not in argument)


def _require_known(config: DictConfig, command: str) -> None:
    """Hydra adds any key behind a plus and takes any away behind a tilde. Raises ConfigError."""
    known = schema.keys(schema.SCHEMAS[command])
    given = list(_keys(config))
    for name in given:
        if name not in known and not name.startswith(OPTIONS):
            raise ConfigError(f"there is no setting '{name}': {advice(name, known)}")
    for name in known:
        if name not in given:
            raise ConfigError(f"{name}: taken away; every setting needs a value.")


def _keys(config: DictConfig, prefix: str = "") -> Iterable[str]:
    for key in map(str, config):
        yield f"{prefix}{key}"
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none():
            yield from _keys(node, f"{prefix}{key}.")


def _sweep_up() -> None:
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
