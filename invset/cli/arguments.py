"""Command lines as people write them, to Hydra's overrides: flags, spellings of a range, words that a shell has cut."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import takewhile

from invset.cli.overrides import OPTIONS
from invset.errors import ConfigError
from invset.names import near
from invset.settings import SETTINGS, names

HYDRAS = (
    "--cfg", "--config-dir", "--config-name", "--config-path", "--experimental-rerun", "--help", "--hydra-help",
    "--info", "--multirun", "--package", "--resolve", "--run", "--shell-completion", "--version",
    "-c", "-cd", "-cn", "-cp", "-h", "-i", "-m", "-p", "-r", "-sc",
)  # fmt: skip
WITH_VALUE = ("--cfg", "--config-", "--experimental-rerun", "--info", "--package", "-c", "-i", "-p")  # how those begin
SWEEPS = ("-m", "--multirun")
ONLY_SETTINGS = ("sample", "probe")  # commands that take no words beside settings
FREE = ("hydra.", "hydra/", *OPTIONS)  # how names begin that are not listed

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
WITH_COMMA = re.compile(rf"(\()?\s*({NUMBER})\s*,\s*({NUMBER})\s*(?(1)\))")
WITHOUT = re.compile(rf"\s*({NUMBER})\s*(?:\.\.|-|\s)\s*({NUMBER})\s*")


def setting_names(command: str) -> list[str]:
    """What a command's overrides may set; of `invset reproduce` also what its runs take."""
    if command not in SETTINGS:
        return []
    own = names(SETTINGS[command])
    return [*own, *(setting_names("sample") if command == "reproduce" else ["experiment"] * (command == "sample"))]


def read_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra takes them: `--n 20` and `--n=20` are n=20, range=50..60 is range=[50,60].

    Raises:
        ConfigError: a flag that there is not, or that needs a value; words that belong to the setting before them.
    """
    known = setting_names(command)
    if not known:
        return list(arguments)
    sweeps = any(argument in SWEEPS for argument in arguments)
    rest = list(arguments)
    read: list[str] = []
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        name = name if name in known else name.replace("-", "_")
        if not re.match(r"-(?![\d.])", word):
            if command in ONLY_SETTINGS and read and "=" in read[-1] and "=" not in word and word[:1] not in ("", "~"):
                _refuse_cut([read[-1], word, *takewhile(lambda one: "=" not in one and not one.startswith("--"), rest)])
            read.append(_read_range(word, sweeps))
        elif name in known or name.startswith(FREE):
            if not equals and (not rest or re.match(r"-(?![\d.])", rest[0])):
                raise ConfigError(f"{word}: give a value: {name}=VALUE, or {word} VALUE.")
            read.append(_read_range(f"{name}={value if equals else rest.pop(0)}", sweeps))
        elif any(flag.startswith(word.partition("=")[0]) for flag in HYDRAS):  # which may be shortened
            read.append(word)
            if word.startswith(WITH_VALUE) and "=" not in word and rest and not rest[0].startswith("-"):
                read.append(rest.pop(0))
        else:
            close = " or ".join(f"{name}=" for name in near(name, known))
            advice = f"did you mean {close}?" if close else f"invset {command} --help lists the settings."
            raise ConfigError(f"there is no flag {word}: settings are written key=value, as n=20; {advice}")
    return read


def _refuse_cut(words: Sequence[str]) -> None:
    raise ConfigError(
        f"'{words[1]}' is no setting. If it belongs to {words[0]}, the shell has cut them at a space: put both in "
        f"quotes, as {shlex.quote(' '.join(words))}."
    )


def _read_range(word: str, sweeps: bool) -> str:
    key, _, value = word.partition("=")
    if key != "range":
        return word
    parts = value.split(",")
    if sweeps and len(parts) > 1 and all(re.fullmatch(NUMBER, part.strip()) for part in parts):
        raise ConfigError(
            f"{word}: with -m this sweeps over numbers, and a number is no range: write 'range=[{value}]' for one "
            "range, 'range=[30,40],[50,60]' to sweep over two."
        )
    if pair := WITH_COMMA.fullmatch(value):
        return f"range=[{pair[2]},{pair[3]}]"
    pairs = [WITHOUT.fullmatch(part) for part in parts]
    return f"range={','.join(f'[{pair[1]},{pair[2]}]' for pair in pairs if pair)}" if all(pairs) else word
