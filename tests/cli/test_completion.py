"""Completion offers what there is, at once, and fails in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invset.cli.completion import LAYERS, complete
from invset.cli.weights import ACTIONS
from invset.models.registry import build_network
from invset.models.unit import parse_unit

BASH = " \t\n\"'><=;|&(:"  # its COMP_WORDBREAKS
QUERY = [sys.executable, "-W", "error", "-m", "invset", "-sc", "query=bash"]


@pytest.mark.parametrize("line", ["", "invset", "invset ", "invset sam", "invset help sam"])
def test_commands(line):
    assert "sample " in complete(line)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("invset sample ne", {"neuron=", "network="}),
        ("invset sample n=3 schedule.", {"schedule.K="}),
        ("invset sample --ne", {"--neuron=", "--network="}),
        ("invset probe ", {"chains=", "codes="}),
        ("invset sample network=", {"network=mini", "network=linear"}),
        ("invset sample network=mini,caf", {"network=mini,caffenet"}),
        ("invset sample method=", {"method=ppgn", "method=paper"}),
        ("invset sample generator=", {"generator=pixels"}),
        ("invset sample n=3 experiment=", {"experiment=linear"}),
        ("invset sample constraint=", {"constraint=range", "constraint=lower"}),
        ("invset sample channels_last=", {"channels_last=true"}),
        ("invset sample neuron=fc8:volc", {"neuron=fc8:volcano"}),
        ("invset sample neuron=volc", {"neuron=volcano"}),
        ("invset sample 'neuron=[conv5:97,fc8:volc", {"neuron=[conv5:97,fc8:volcano"}),
        ("invset sample network=places205 neuron=fc8:bakery", {"neuron=fc8:bakery_shop"}),
        ("invset sample network=torchvision neuron=", set()),
        ("invset reproduce f", {"fig1 ", "fig9 ", "fill="}),
        ("invset facets ", {"groups=", "features="}),
        ("invset weights fetch caf", {"caffenet "}),
        ("invset smaple ", set()),
        ("invset sample n", {"n="}),
        ("invset sample nothing=", set()),
    ],
)
def test_settings_and_values(line, offered):
    found = set(complete(line))
    assert offered <= found
    assert bool(found) == bool(offered)


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("invset sample neuron=fc8:volc", ["volcano"]),
        ("invset sample neuron=volc", ["volcano"]),
        ("invset sample 'neuron=fc8:volc", ["neuron=fc8:volcano"]),
        ("invset sample neuron='fc8:volc", ["fc8:volcano"]),
    ],
)
def test_bash_is_given_what_it_takes_for_the_word(line, rest):
    assert complete(line, BASH) == rest


def test_every_unit_offered_is_one():
    network = build_network("mini")
    assert tuple(network.layers) == LAYERS
    units = [word.removeprefix("neuron=") for word in complete("invset sample neuron=fc8:")]
    assert len(units) == 999  # two classes are called cardigan
    assert [parse_unit(unit, network).index for unit in units if "cardigan" not in unit] == [
        number for number, label in enumerate(network.labels["fc8"]) if label != "cardigan" and label != "Cardigan"
    ]


def test_actions_of_weights():
    assert complete("invset weights ") == [f"{action} " for action in ACTIONS]


def test_folders_of_runs_and_sweeps(here):
    for path in (
        "outputs/day/time/config.yaml",
        "outputs/sweeps/day/time/multirun.yaml",
        "outputs/sweeps/day/time/0/config.yaml",
    ):
        (here / path).parent.mkdir(parents=True, exist_ok=True)
        (here / path).touch()
    runs = ["outputs/day/time ", "outputs/sweeps/day/time/0 "]
    for command in ("compare", "facets", "animate"):
        assert [word for word in complete(f"invset {command} ") if "/" in word] == runs
    assert "outputs/sweeps/day/time " in complete("invset overview o")
    assert set(complete("invset sample resume=outputs/s")) == {
        "resume=outputs/sweeps/day/time/0",
        "resume=outputs/sweeps/day/time",
    }


def test_it_is_quick_and_loads_neither_torch_nor_hydra():
    program = (
        "import sys; from invset.cli.main import run; run(['-sc', 'query=bash'])\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'rich', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = os.environ | {"COMP_LINE": "invset sample neuron=fc8:volc"}
    best = float("inf")
    for _ in range(10):  # the machine may be busy
        if best < 0.5:
            break
        begin = time.perf_counter()
        command = [sys.executable, "-W", "error", "-c", program]
        subprocess.run(command, check=True, capture_output=True, env=environment)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.5


def test_a_closed_pipe_is_silent():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(QUERY, stdout=writing, stderr=subprocess.PIPE, env=os.environ | {"COMP_LINE": "invset "})
    os.close(writing)
    assert done.stderr == b""


@pytest.mark.parametrize(
    "line", ["invset sample 'neuron", 'invset sample "', "invset sample n\\", "invset sample [", "\x00"]
)
def test_half_a_line(line):
    complete(line)


def test_a_file_of_labels_that_is_not_there(invset, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "invset sample network.labels=missing neuron=fc8:v")
    assert invset("-sc", "query=bash") == (0, "", "")


def test_an_unknown_shell_is_one_line(invset):
    result = invset("-sc", "install=tcsh")
    assert result.code == 2
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts_of_other_shells_ask_the_same_program(invset, shell):
    for action in ("install", "uninstall"):
        result = invset("-sc", f"{action}={shell}")
        assert result.code == 0
        assert "invset" in result.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_the_script(here: Path):
    program = here / "invset"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m invset "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(./invset -sc install=bash)"; COMP_LINE="invset sample neuron=fc8:volc n=3"; COMP_POINT=29\n'
        'complete -p invset; _invset ./invset; printf "<%s>" "${COMPREPLY[@]}"; eval "$(./invset -sc uninstall=bash)"'
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["complete -o default -o nospace -F _invset invset", "<volcano>"]
