"""`invset -sc`: completion in bash, zsh and fish, of commands, settings and values.

All of it is read from files: Hydra and torch would take seconds, at every tab.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path

from invset.cli.help import COMMANDS, config_folder
from invset.errors import InvsetError
from invset.models.labels import DATA_FOLDER, class_names
from invset.names import plain
from invset.settings import SETTINGS, Takes, walk
from invset.weights.known import KNOWN

BASH = """\
_invset() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        "$1" -sc query=bash 2>/dev/null))
}
complete -o nospace -o default -F _invset invset"""
ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_invset() {
    local -a found
    found=("${(@f)$(COMP_LINE="$LBUFFER" $words[1] -sc query=zsh 2>/dev/null)}")
    if [[ -n $found[1] ]]; then compadd -Q -S '' -- $found; else compset -P '*='; _files; fi
}
compdef _invset invset"""
FISH = "complete -c invset -x -a '(COMP_LINE=(commandline -cp) invset -sc query=fish 2>/dev/null)'"
SCRIPTS = {
    "install": {"bash": BASH, "zsh": ZSH, "fish": FISH},
    "uninstall": {"bash": "complete -r invset", "zsh": "compdef -d invset", "fish": "complete -e -c invset"},
}
FLAGS = ("--cfg", "--config-dir", "--help", "--info", "--multirun")
CHOSEN = {  # settings whose values are the configs of a folder
    "sample": ("network", "generator", "encoder", "method", "schedule", "experiment"),
    "probe": ("network", "generator", "encoder"),
    "units": ("network",),
}
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")  # of the networks with CaffeNet's
OF_IMAGENET = ("mini", "caffenet", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")  # named at fc8
VALUES = {
    "device": ("auto", "cpu", "cuda"),
    "range": ("auto",),
    "model": ("mini", "caffenet"),
    "features": OF_IMAGENET[1:],
}
# Where folders of runs and sweeps usually are.
RUNS = ("*", "outputs/*", "outputs/*/*", "outputs/sweeps/*/*/*", "outputs/reproduced/*/runs/*")
SWEEPS = ("*", "outputs/sweeps/*/*")


def run(arguments: Sequence[str]) -> int:
    """Print the script to install for a shell, or what can follow a line in it; returns the exit code."""
    action, _, shell = (arguments[0] if arguments else "").partition("=")
    if action == "query":
        line, breaks = os.environ.get("COMP_LINE", ""), os.environ.get("COMP_WORDBREAKS", "")
        found: list[str] = []
        with suppress(InvsetError, OSError, UnicodeError):  # a file that is not there, or is none of names
            found = complete(line, breaks if shell == "bash" else "")
        if found:
            print("\n".join(word.rstrip() if shell == "fish" else word for word in found), flush=True)
        return 0
    if shell not in SCRIPTS.get(action, ()):
        print("invset: write invset -sc install=bash, or zsh, fish; uninstall=bash takes it away.", file=sys.stderr)
        return 2
    print(SCRIPTS[action][shell], flush=True)
    return 0


def complete(line: str, breaks: str = "") -> list[str]:
    """What the word at the end of a line can become, from behind the last of `breaks` in it, where bash cuts words."""
    words = [""]
    for quote in ("", "'", '"'):
        with suppress(ValueError):  # a quote is open
            words = shlex.split(f"{line}x{quote}")
            break
    typed = words.pop()[:-1] if words[1:] else ""
    kept = max((typed.rfind(sign) for sign in breaks), default=-1) + 1
    if quote:
        kept = len(typed) - len(line.rpartition(quote)[2])
    found = dict.fromkeys(word for word in _offer(words[1:], typed) if word.casefold().startswith(typed.casefold()))
    return [word[kept:] for word in found]


def _offer(words: Sequence[str], typed: str) -> Iterator[str]:
    """All that may stand where `typed` does, behind these words; a space ends what needs no more."""
    if not words or words == ["help"]:
        yield from (f"{command} " for command in (*COMMANDS, *(["help"] if not words else [])))
        return
    command = words[0]
    if command == "weights":
        yield from (f"{name} " for name in (("list", "fetch", "verify", "path", "add") if len(words) == 1 else KNOWN))
    if command not in SETTINGS:
        return
    dashes = typed[: len(typed) - len(typed.lstrip("-"))]
    key, equals, value = typed.partition("=")
    if equals:
        before = re.match(r"(.*[\[,])?", value)
        start = before[0] if before else ""
        values = _values(command, key.lstrip("-+"), words, value.removeprefix(start))
        yield from (f"{key}={start}{one}" for one in values)
        return
    yield from (f"{dashes}{name}" for name in _settings(command, typed.count(".")))
    if dashes:
        yield from (f"{flag} " for flag in FLAGS)
    elif command == "reproduce":
        yield from (f"{path.stem} " for path in sorted((config_folder() / "recipe").glob("*.yaml")))
        yield "all "
    elif command in ("compare", "facets", "animate", "show"):
        yield from (f"{folder} " for folder in _folders(RUNS, "config.yaml"))
    if command in ("overview", "show"):
        yield from (f"{folder} " for folder in _folders(SWEEPS, "multirun.yaml"))


def _settings(command: str, depth: int) -> Iterator[str]:
    """The names of settings with so many dots."""
    chosen = CHOSEN.get(command, ())
    names = dict(walk(SETTINGS[command])) | (dict(walk(SETTINGS["sample"])) if command == "reproduce" else {})
    for name, entry in names.items():
        if name.count(".") == depth:
            yield f"{name}." if is_dataclass(entry.default_factory) and name not in chosen else f"{name}="
    if command == "sample" and not depth:
        yield "experiment="
        yield from ("hydra.run.dir=", "hydra.sweep.dir=", "hydra/launcher=")


def _values(command: str, name: str, words: Sequence[str], typed: str) -> Iterator[str]:
    """What a setting can be."""
    if name == "neuron":
        yield from _units(words, typed)
    elif name == "resume":
        yield from (*_folders(RUNS, "config.yaml"), *_folders(SWEEPS, "multirun.yaml"))
    elif name in CHOSEN.get("sample" if command == "reproduce" else command, ()):
        yield from (path.stem for path in sorted((config_folder() / name).glob("*.yaml")))
    elif name in VALUES:
        yield from VALUES[name]
    else:
        entry = dict(walk(SETTINGS["sample"] if command == "reproduce" else SETTINGS[command])).get(name)
        takes = entry.metadata.get("takes") if entry else None
        if takes and not isinstance(takes, Takes):
            yield from takes
        if entry and str(entry.type).startswith("bool"):
            yield from ("true", "false")


def _units(words: Sequence[str], typed: str) -> Iterator[str]:
    """Units of networks whose layers and labels are known before they are built; labels alone from a letter on."""
    given = dict(word.lstrip("-+").split("=", 1) for word in words if "=" in word)
    network = given.get("network", "mini")
    if network not in (*OF_IMAGENET, "places205"):
        return
    if network in ("mini", "caffenet", "places205"):
        yield from (f"{layer}:" for layer in LAYERS[:-1] if ":" not in typed)
    places = DATA_FOLDER / "places205_classes.txt" if network == "places205" else None
    labels = [plain(label).replace(" ", "_") for label in class_names(given.get("network.labels", places))]
    if ":" not in typed:
        yield "fc8:"
        yield from labels if typed else ()
    else:
        yield from (f"fc8:{label}" for label in labels)


def _folders(patterns: Sequence[str], holding: str) -> list[str]:
    return sorted({str(path.parent) for pattern in patterns for path in Path().glob(f"{pattern}/{holding}")})
