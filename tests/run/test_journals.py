"""Journals of CSV and of codes: numbers read back exactly; lengths are those of whole records."""

from __future__ import annotations

import csv
import math
import os
import random
import struct
from contextlib import closing
from pathlib import Path

import pytest
import torch

from invset.errors import RunFolderError
from invset.run.journals import CodeJournal, Journal, read_codes

HEADER = ["sample", "unit", "activation"]
EDGES = [0, 1, 0x80000000, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000]


def test_every_float32_reads_back_to_itself(tmp_path: Path) -> None:
    draw = random.Random(0)
    bits = EDGES + [draw.getrandbits(32) for _ in range(5000)]
    values = [struct.unpack("<f", struct.pack("<I", one))[0] for one in bits]
    values = [value for value in values if not math.isnan(value)]
    with closing(Journal(tmp_path / "j.csv", ["x"])) as journal:
        journal.append([(value,) for value in values])
    with (tmp_path / "j.csv").open(newline="") as file:
        back = torch.tensor([float(row["x"]) for row in csv.DictReader(file)], dtype=torch.float32)
    expected = torch.tensor(values, dtype=torch.float32)
    assert torch.equal(back.view(torch.int32), expected.view(torch.int32))


def test_numbers_are_short_and_strings_quoted(tmp_path: Path) -> None:
    third = torch.tensor(1 / 3).item()
    with closing(Journal(tmp_path / "j.csv", ["a"] * 9)) as journal:
        journal.append([(0.5, torch.tensor(0.1).item(), third, 16777216.0, math.nan, math.inf, True, 2**40, 'a,"b')])
    line = (tmp_path / "j.csv").read_text().splitlines()[1]
    assert line == '0.5,0.1,0.33333334,16777216,nan,inf,1,1099511627776,"a,""b"'


def test_a_journal_cut_to_a_length_it_had_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    with closing(Journal(path, HEADER)) as journal:
        journal.append([(1, "fc8:0", 0.25)])
        first = journal.length
        journal.append([(2, "fc8:0", 0.75), (3, "fc8:0", 1.0)])
        journal.append([])
        assert journal.length == path.stat().st_size  # with the system at once, not at close
    os.truncate(path, first)
    with closing(Journal(path, HEADER)) as journal:
        assert journal.length == first
        journal.append([(2, "fc8:0", 9.5)])
    assert path.read_text() == "sample,unit,activation\n1,fc8:0,0.25\n2,fc8:0,9.5\n"


@pytest.mark.parametrize(
    ("header", "rest", "words"),
    [
        (["sample", "unit"], "\n1,fc8:0,0.2567\n", "first line is not 'sample,unit'"),
        ([*HEADER, "more"], "\n1,fc8:0,0.2567\n", "first line is not"),
        (HEADER, "\n1,fc8:0,0.2", "byte 34 is not the end of a whole record"),
    ],
)
def test_a_journal_that_does_not_fit_is_refused_and_left_alone(
    tmp_path: Path, header: list[str], rest: str, words: str
) -> None:
    path = tmp_path / "j.csv"
    path.write_text("sample,unit,activation" + rest)
    with pytest.raises(RunFolderError, match=rf"{path}: .*{words}"):
        Journal(path, header)
    assert path.read_text() == "sample,unit,activation" + rest


def test_a_full_disk_leaves_whole_lines(tmp_path: Path, full_disk) -> None:
    with closing(Journal(tmp_path / "j.csv", ["x"])) as journal:
        journal.append([(1234567,)] * 123)
        with full_disk(1000):
            journal.append([(1234567,)])
            with pytest.raises(RunFolderError, match=r"j\.csv: cannot be written \(File too large.*stays.*resume"):
                journal.append([(1234567,)])
        assert journal.length == (tmp_path / "j.csv").stat().st_size == 2 + 8 * 124
    assert (tmp_path / "j.csv").read_text() == "x\n" + "1234567\n" * 124


def test_codes_read_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "codes.bin"
    codes = torch.randn(7, 5)
    codes[0, :4] = torch.tensor([-0.0, math.inf, -math.inf, 1e-45])
    with closing(CodeJournal(path, 5)) as journal:
        journal.append(codes[:2])
        journal.append(codes[2:3])
        assert journal.length == 3 * 5 * 4
    with closing(CodeJournal(path, 5)) as journal:
        journal.append(codes.t().contiguous().t()[3:])  # strides are not to matter
    assert torch.equal(read_codes(path, 5).view(torch.int32), codes.view(torch.int32))
    assert path.read_bytes() == struct.pack("<35f", *codes.flatten().tolist())


def test_codes_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "codes.bin"
    CodeJournal(path, 5).close()
    assert read_codes(path, 5).shape == (0, 5)
    path.write_bytes(bytes(24))
    for read in (read_codes, CodeJournal):
        with pytest.raises(RunFolderError, match=r"byte 24 is not the end"):
            read(path, 5)
    with pytest.raises(RunFolderError, match=r"none\.bin: cannot be read"):
        read_codes(tmp_path / "none.bin", 5)
