"""The commands and their help; what needs no Hydra loads none."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from invset import __version__
from invset.cli.main import COMMANDS
from invset.cli.signals import Interrupted


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_the_commands(invset, arguments):
    result = invset(*arguments)
    assert result.code == 0
    assert result.err == ""
    assert all(f"\n  {command} " in result.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_a_command(invset, command, flag):
    result = invset(command, "n=12", flag)
    assert result.code == 0
    assert result.out.startswith(f"invset {command}: ")


def test_help_comes_first_too(invset):
    assert invset("help", "sample", "method=ppgn") == invset("sample", "method=ppgn", "--help")
    assert invset("help", "smaple").err.startswith("invset: there is no command 'smaple': did you mean sample?")


def test_version(invset):
    assert invset("--version") == (0, f"invset {__version__}\n", "")


@pytest.mark.parametrize(
    ("typed", "advice"),
    [("smaple", "did you mean sample?"), ("prob", "did you mean probe?"), ("xyz", "there are sample, probe")],
)
def test_unknown_command(invset, typed, advice):
    result = invset(typed, "n=12")
    assert result.code == 2
    assert result.out == ""
    assert result.err.count("\n") == 1
    assert result.err.startswith(f"invset: there is no command '{typed}': {advice}")


def test_help_loads_neither_torch_nor_hydra_and_is_quick():
    program = (
        "import sys; from invset.cli.main import run; run(['--help']); run(['sample', '--help']); run(['--version'])\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'rich', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    best = float("inf")
    for _ in range(10):  # the machine may be busy
        if best < 0.5:
            break
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.5


def test_a_process_can_run_several_commands(invset, linear):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert invset(*linear, "n=4", "hydra.run.dir=first").code == 0
    assert invset("sample", "n=abc").code == 2
    assert invset("probe", "experiment=none").code == 2
    assert invset(*linear, "n=5", "hydra.run.dir=second").code == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert not Path("outputs").exists()


def test_an_interruption_before_a_run_begins_leaves_nothing(invset, monkeypatch, linear):
    def interrupted(settings):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("invset.cli.processes.assemble", interrupted)
    assert invset(*linear) == (130, "", "")
    assert not Path("outputs").exists()


def test_an_interruption_of_the_import_shows_no_traceback(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored in the background
        f"sys.path.insert(0, {str(tmp_path)!r}); from invset.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "sample"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_help_of_a_method_that_there_is_not(invset):
    assert invset("sample", "method=papre", "--help") == (2, "", "invset: method=papre: did you mean paper?\n")
