"""What a user's own function returns, called by its name."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from invset.compat import import_torchvision
from invset.errors import ConfigError, InvsetError
from invset.models.hollow import drawing

RANDOM_SEED = 0  # of what the function draws: the same in each run


def made(what: str, factory: str, arguments: Mapping[str, Any] | None) -> Any:
    """What the function returns.

    Args:
        what: network or generator, for messages.
        factory: "package.module:function", which may be in the working directory; anything that it draws from torch's
            global random state is the same each time.
        arguments: of the function, by name.

    Raises:
        ConfigError: there is no such function, or it fails.
    """
    setting = f"{what}.factory={factory}"
    path, _, function = factory.partition(":")
    if not path or not function:
        raise ConfigError(f"{setting}: give package.module:function, as {what}.factory=mynets:build.")
    given = {} if arguments is None else arguments
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"{what}.options.arguments={arguments}: give names and values, as '{{width: 8}}'.")
    with _importable(str(Path.cwd())):
        found = _function(setting, path, function)
        try:
            with drawing(RANDOM_SEED):
                return found(**given)
        except InvsetError:
            raise
        except Exception as error:  # of the user's code: anything
            call = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ConfigError(f"{setting}: {function}({call}) fails: {told(error)}") from error


def told(error: Exception) -> str:
    """What was raised, and where."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"


def _function(setting: str, path: str, name: str) -> Any:
    try:
        found: Any = _imported(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            raise ConfigError(
                f"{setting}: there is no module '{error.name}', installed or in {Path.cwd()}; go to its folder, or set "
                "PYTHONPATH."
            ) from error
        raise ConfigError(f"{setting}: {path} cannot be imported: {told(error)}") from error
    except Exception as error:  # of the user's code: anything
        raise ConfigError(f"{setting}: {path} cannot be imported: {told(error)}") from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"{setting}: {path} has no function '{name}'.")
    return found


def _imported(path: str) -> Any:
    try:
        return import_module(path)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        import_torchvision()  # beside a torch for CPUs alone it has to be helped
        return import_module(path)


@contextmanager
def _importable(folder: str) -> Iterator[None]:
    """The folder is looked through first, as by `python -m`."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
