"""Journals of CSV and of codes: numbers read back exactly; lengths are those of whole records."""

from __future__ import annotations

import csv
import errno
import math
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from invset.errors import RunFolderError
from invset.run.codes import CodeJournal, read_codes
from invset.run.journal import Journal

ROOT = Path(__file__).parents[2]
HEADER = ["sample", "unit", "activation"]


def _float32(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def test_every_float32_reads_back_to_itself(tmp_path):
    draw = random.Random(0)
    bits = [draw.getrandbits(32) for _ in range(5000)]
    edges = [
        0,
        1,
        0x80000000,
        0x80000001,
        0x007FFFFF,
        0x00800000,
        0x7F7FFFFF,
        0xFF7FFFFF,
        0x7F800000,
        0xFF800000,
    ]
    values = [value for value in map(_float32, edges + bits) if not math.isnan(value)]
    with Journal.open(tmp_path / "j.csv", ["x"]) as journal:
        journal.append([(value,) for value in values])
    with (tmp_path / "j.csv").open(newline="") as file:
        back = torch.tensor([float(row["x"]) for row in csv.DictReader(file)], dtype=torch.float32)
    expected = torch.tensor(values, dtype=torch.float32)
    assert torch.equal(back.view(torch.int32), expected.view(torch.int32))


def test_numbers_are_short_and_strings_quoted(tmp_path):
    third = torch.tensor(1 / 3).item()
    with Journal.open(tmp_path / "j.csv", ["a"] * 9) as journal:
        journal.append([(0.5, torch.tensor(0.1).item(), third, 16777216.0, math.nan, math.inf, True, 2**40, 'a,"b')])
    line = (tmp_path / "j.csv").read_text().splitlines()[1]
    assert line == '0.5,0.1,0.33333334,16777216,nan,inf,1,1099511627776,"a,""b"'


def test_lengths_cut_and_go_on(tmp_path):
    path = tmp_path / "j.csv"
    with Journal.open(path, HEADER) as journal:
        start = journal.length
        journal.append([(1, "fc8:0", 0.25)])
        first = journal.length
        journal.append([(2, "fc8:0", 0.75), (3, "fc8:0", 1.0)])
        journal.append([])
        assert journal.length == path.stat().st_size  # with the system at once, not at close
    with Journal.open(path, HEADER) as journal:
        assert journal.length == path.stat().st_size
    with Journal.open(path, HEADER, first) as journal:
        journal.append([(2, "fc8:0", 9.5)])
    assert path.read_text() == "sample,unit,activation\n1,fc8:0,0.25\n2,fc8:0,9.5\n"
    with Journal.open(path, HEADER, start) as journal:
        assert journal.length == start
    with Journal.open(path, ["other"], 0) as journal:
        assert journal.length == 6
    assert path.read_text() == "other\n"


@pytest.mark.parametrize(
    ("header", "length", "words"),
    [
        (HEADER, 1000, "38 bytes where the checkpoint counts 1000"),
        (HEADER, -1, "counts -1"),
        (["sample", "unit"], None, "first line is not 'sample,unit'"),
        ([*HEADER, "more"], None, "first line is not"),
        (HEADER, 30, "byte 30 is not the end"),
        (HEADER, 5, "byte 5 is not the end"),
    ],
)
def test_a_journal_that_does_not_fit_is_refused_and_left_alone(tmp_path, header, length, words):
    path = tmp_path / "j.csv"
    text = "sample,unit,activation\n1,fc8:0,0.2567\n"
    path.write_text(text)
    with pytest.raises(RunFolderError, match=words) as raised:
        Journal.open(path, header, length)
    assert str(path) in str(raised.value)
    assert path.read_text() == text


def test_half_a_last_line_is_not_taken_for_a_line(tmp_path):
    (tmp_path / "j.csv").write_text("sample,unit,activation\n1,fc8:0,0.2")
    with pytest.raises(RunFolderError, match="not the end of a whole record"):
        Journal.open(tmp_path / "j.csv", HEADER)


def test_misuse(tmp_path):
    with Journal.open(tmp_path / "j.csv", HEADER) as journal:
        length = journal.length
        with pytest.raises(ValueError, match="2 entries in a journal of 3"):
            journal.append([(1, "fc8:0", 0.5), (1, 2)])
        with pytest.raises(TypeError, match="not Tensor"):
            journal.append([(1, "fc8:0", torch.tensor(0.5))])  # type: ignore[list-item]
        assert journal.length == length == (tmp_path / "j.csv").stat().st_size
    with CodeJournal.open(tmp_path / "c.bin", 3) as codes:
        for wrong in (torch.zeros(3), torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.float64)):
            with pytest.raises(ValueError, match=r"codes are \(k, 3\) float32"):
                codes.append(wrong)


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, bytes(data)[:5])

    with Journal.open(tmp_path / "j.csv", HEADER) as journal, monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match=r"j\.csv: cannot be written \(No space left.*stays.*resume="):
            journal.append([(1, "fc8:0", 0.5)])
    assert (tmp_path / "j.csv").read_text() == "sample,unit,activation\n"


def test_a_limit_of_the_operating_system_leaves_whole_lines(tmp_path):
    script = """
import resource, sys
from pathlib import Path
from invset.errors import RunFolderError
from invset.run.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Journal.open(Path(sys.argv[1]), ["x"]) as journal:
    try:
        for number in range(1000):
            journal.append([(1234567 + number,)])
    except RunFolderError as error:
        print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "j.csv")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "j.csv: cannot be written (File too large)" in ended.stdout, ended.stderr
    text = (tmp_path / "j.csv").read_bytes()
    assert len(text) == 2 + 8 * 124
    assert text.endswith(b"\n")


def test_codes_read_back_bit_for_bit(tmp_path):
    path = tmp_path / "codes.bin"
    codes = torch.randn(7, 5)
    codes[0, :4] = torch.tensor([-0.0, math.inf, -math.inf, 1e-45])
    with CodeJournal.open(path, 5) as journal:
        journal.append(codes[:2])
        journal.append(codes[2:3])
        kept = journal.length
        journal.append(torch.zeros(2, 5))
    assert kept == 3 * 5 * 4
    with CodeJournal.open(path, 5, kept) as journal:
        journal.append(codes.t().contiguous().t()[3:])  # strides are not to matter
    assert torch.equal(read_codes(path, 5).view(torch.int32), codes.view(torch.int32))
    assert path.read_bytes() == struct.pack("<35f", *codes.flatten().tolist())


def test_codes_that_do_not_fit(tmp_path):
    path = tmp_path / "codes.bin"
    CodeJournal.open(path, 5).close()
    assert read_codes(path, 5).shape == (0, 5)
    path.write_bytes(bytes(24))
    with pytest.raises(RunFolderError, match=r"byte 24 is not the end"):
        read_codes(path, 5)
    with pytest.raises(RunFolderError, match=r"byte 24 is not the end"):
        CodeJournal.open(path, 5)
    with pytest.raises(RunFolderError, match=r"24 bytes where the checkpoint counts 40"):
        CodeJournal.open(path, 5, 40)
    with pytest.raises(RunFolderError, match=r"none\.bin: cannot be read"):
        read_codes(tmp_path / "none.bin", 5)
