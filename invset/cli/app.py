"""Runs a command through Hydra, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from invset.cli import check, launching, own_folder, schema
from invset.cli.signals import Interrupted, as_exceptions
from invset.cli.sweep import Sweep
from invset.errors import ConfigError, InvsetError, RunFolderError
from invset.run.layout import Layout

OPTIONS = ("network.options.", "generator.options.", "encoder.options.", "method.options.")  # of builders

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
        nonlocal worst, own
        wrong = None
        sweep.begin()
        # Another process than the one that was launched knows Ctrl-C by Python's own exception only. What a launcher
        # has made of other signals stays: Slurm's are submitit's.
        alone = os.getpid() == here
        try:
            _require_known(config, command)
            with nullcontext() if alone else as_exceptions([signal.SIGINT]):
                code = task(config)
        except InvsetError as error:
            code, wrong = complain(error), str(error)
            _sweep_up()
        except Exception as error:
            own = error
            if not alone:
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
        return complain(ConfigError(_in_words(error, command)))
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
        raise ConfigError(_in_words(error, command)) from error


def complain(error: InvsetError) -> int:
    """Print an error; returns the exit code it stands for."""
    print(f"invset: {error}", file=sys.stderr)
    return error.exit_code


def config_folder() -> Path:
    """Where the configs are: in the package as installed, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


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
            raise ConfigError(f"there is no setting '{name}': {_advice(name, known)}")
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


def _advice(name: str, known: list[str]) -> str:
    if name.startswith(OPTIONS):
        return f"an option of a model is added with a plus: +{name}=…"
    last = name.rsplit(".", 1)[-1]
    close = [key for key in known if key.rsplit(".", 1)[-1] == last]
    return f"did you mean {' or '.join(close)}?" if close else check.near_names(name, known)


def _in_words(error: Exception, command: str) -> str:
    cause = error.__cause__
    text = " ".join(f"{error}".split())
    if isinstance(error, OverrideParseException) or "See https://hydra.cc/docs/1.2/advanced/override_grammar" in text:
        given = error.override if isinstance(error, OverrideParseException) else _lexed(text)
        return (
            f"{given}: cannot be read; write key=value, as n=100, neuron=fc8:981 or 'range=[50,60]' "
            "(in quotes, so that the shell leaves the brackets alone); a text with spaces or other signs needs quotes "
            "of its own, as \"hydra.run.dir='my run'\"."
        )
    if several := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)'", text):
        key, values = several[1], several[2]
        return f"{key}={values}: write a list as '{key}=[{values}]' (in quotes), or add -m to sweep over the values."
    if unknown := re.match(r"(?:Could not override|Error merging override) '?([^'=\s]+)", text):
        name = unknown[1]
        known = schema.keys(schema.SCHEMAS[command])
        if name not in known and not name.startswith("hydra."):
            return f"there is no setting '{name}': {_advice(name, known)}"
    if figure := re.match(r"In 'experiment/paper/([^']*)'", text):
        return f"experiment=paper/{figure[1]}: this is a figure of several runs: invset reproduce {figure[1]}"
    if group := re.match(
        r"(?:In '[^']*': )?Could not find '([^']+)/([^'/]+)'.*?Available options in '[^']*': (.*?)(?: Config|$)",
        text,
    ):
        return f"{group[1]}={group[2]}: {check.near_names(group[2], group[3].split())}"
    detail = " ".join(f"{cause}".split("\n")[0].split()) if isinstance(cause, OmegaConfBaseException) else ""
    if merging := re.match(r"Error merging override (\S+)$", text):
        return f"{merging[1]}: {detail}"
    return f"{text} {detail}".strip()


def _lexed(text: str) -> str:
    found = re.match(r"LexerNoViableAltException: (.*?) \^", text)
    return found[1] if found else text
