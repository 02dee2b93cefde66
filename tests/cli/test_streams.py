"""What is printed to a closed pipe, a full disk or nowhere ends nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from invset.run.json_files import read_json

LOST = "invset: standard output is lost (No space left on device); going on without it.\n"
ENDS = [(">&-", ""), (">/dev/full", LOST), ("| true", ""), ("| head -1", "")]
PRINTS = """\
import logging, os, sys
from invset.cli import streams

streams.forgive()
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
for _ in range(2000):
    print("é" * 100, flush=True)
    logging.info("ü" * 100)
os.system("echo a child")
print("to its end", file=sys.stderr)
"""
INVSET = "from invset.cli.main import main; main()"


def shell(program: str, end: str, *arguments: str) -> tuple[int, str]:
    """Exit code of a Python program whose standard output ends there, and what it wrote to standard error."""
    line = f'"$0" -c "$@" {end}; exit "${{PIPESTATUS[0]}}"'
    command = ["bash", "-c", line, sys.executable, program, *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(("end", "said"), ENDS)
def test_a_program_goes_on_to_its_end(end, said):
    assert shell(PRINTS, end) == (0, f"{said}to its end\n")


def test_what_can_be_printed_is(tmp_path):
    assert shell(PRINTS, f">{tmp_path / 'out'}")[0] == 0
    assert (tmp_path / "out").read_text("utf-8") == ("é" * 100 + "\n" + "ü" * 100 + "\n") * 2000 + "a child\n"


def test_standard_error_too():
    program = "import sys; from invset.cli import streams; streams.forgive(); sys.stderr.write('a'); sys.exit(7)"
    assert [shell(program, end)[0] for end in ("2>&-", "2>/dev/full", "2>&1 | true")] == [7, 7, 7]


@pytest.mark.parametrize(("end", "said"), ENDS)
def test_a_command_that_only_prints_ends_quietly(end, said):
    assert shell(INVSET, end, "sample", "--help") == (0, said)


def test_a_sweep_is_not_lost(here):
    command = ("sample", "-m", "experiment=linear", "n=4", "schedule.K=4", "seed=0,1", "hydra.sweep.dir=sweep")
    assert shell(INVSET, ">/dev/full", *command) == (0, LOST)
    assert [read_json(Path(f"sweep/{job}/summary.json"))["status"] for job in (0, 1)] == ["complete", "complete"]
    assert Path("sweep/overview.png").is_file()


def test_hydras_own_printing_ends_quietly():
    assert shell(INVSET, "| true", "sample", "--info") == (0, "")


def test_a_run_prints_plain_lines_to_a_file(here):
    command = ("sample", "experiment=linear", "n=4", "schedule.K=4", "hydra.run.dir=run")
    assert shell(INVSET, ">out", *command) == (0, "")
    lines = (here / "out").read_bytes()
    assert lines.decode().splitlines()[-1] == "run/samples.png"
    assert not {b"\r", b"\x1b"} & {bytes([byte]) for byte in lines}
