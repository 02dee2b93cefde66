"""`invset`: finds the command. Answers --help at once; Hydra and torch are imported only when there is work."""

from __future__ import annotations

import difflib
import errno
import os
import signal
import sys
from functools import partial
from importlib import import_module
from itertools import takewhile
from types import ModuleType

from invset import __version__
from invset.cli import streams
from invset.cli.help import COMMANDS, USAGE, describe_command
from invset.errors import ConfigError, InvsetError

# Commands that read their arguments themselves.
OWN = ("compare", "reproduce", "animate", "facets", "overview", "runs", "show", "weights")


def main() -> None:
    """The console script."""
    streams.forgive()
    # Until there is work that could be lost, Ctrl-C ends the process at once: imports take seconds.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = run(sys.argv[1:])
    if (processes := sys.modules.get("invset.cli.processes")) is not None:
        processes.end(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit code."""
    if arguments[:1] == ["help"] and len(arguments) > 1:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {name:<9}  {what}" for name, what in COMMANDS.items())
        print(USAGE.format(version=__version__, commands=commands))
        return 0
    if arguments[0] == "--version":
        print(f"invset {__version__}")
        return 0
    if arguments[0] in ("-sc", "--shell-completion"):
        from invset.cli import completion

        return completion.run(arguments[1:])
    command, *rest = arguments
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}."
        print(f"invset: there is no command '{command}': {advice}", file=sys.stderr)
        return 2
    if any(argument in ("-h", "--help") for argument in rest):
        try:
            print(describe_command(command, rest))
        except ConfigError as error:  # of method=NAME
            print(f"invset: {error}", file=sys.stderr)
            return error.exit_code
        return 0
    return _launch(command, rest)


def _launch(command: str, arguments: list[str]) -> int:
    # torch's threads spin while they wait for each other. On a machine with anything else to do, a step then takes
    # ten times as long, so they are to go to sleep, in GNU's OpenMP after a moment: at once would cost a fifth on an
    # idle machine (BENCHMARKS.md). Set before torch is imported, which `app` does.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

    from invset.cli import app, processes, signals

    module = import_module(f"invset.cli.{command}")
    with signals.as_exceptions():
        try:
            return processes.share(partial(_run, command, module, arguments))
        except InvsetError as error:
            return app.complain(error)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return app.complain(ConfigError(f"{error.filename}: {error.strerror}: choose a shorter path."))
        except signals.Interrupted as stop:
            return stop.exit_code


def _run(command: str, module: ModuleType, arguments: list[str]) -> int:
    from invset.cli import app
    from invset.cli.arguments import read_arguments

    arguments = read_arguments(command, arguments)
    if command in OWN:
        return int(module.run(arguments))
    if command == "sample":
        from invset.cli.sweep.resume_sweep import complete_arguments

        arguments = complete_arguments(arguments)
    elif command == "units":
        arguments = _with_find(arguments)
    return app.launch(command, module.task, arguments)


def _with_find(arguments: list[str]) -> list[str]:
    """Arguments of `invset units`: what stands alone is what to look for."""
    from invset.cli.overrides import quote

    words = list(takewhile(lambda argument: not argument.startswith("-"), arguments))  # what follows may be a flag's
    alone = [word for word in words if "=" not in word]
    rest = [*(word for word in words if "=" in word), *arguments[len(words) :]]
    return [*rest, f"find={quote(' '.join(alone))}"] if alone else rest
