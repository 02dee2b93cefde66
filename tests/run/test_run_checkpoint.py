"""Checkpoints: bit for bit, whole or not there."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from invset.errors import RunFolderError
from invset.run.checkpoint import load, save

ROOT = Path(__file__).parents[2]


def test_tensors_come_back_bit_for_bit(tmp_path):
    base = torch.randn(6, 4)
    tensors = {
        "float32": torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, 3.4e38]),
        "float64": torch.tensor([math.pi, 1e-320, -math.inf], dtype=torch.float64),
        "int64": torch.tensor([[2**62, -(2**63)]]),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 5),
        "view": base[1:3],
        "same memory": base,
        "transposed": base.t(),
        "expanded": torch.tensor([1.5]).expand(4),
        "generator": torch.Generator().manual_seed(7).get_state(),
    }
    save(tmp_path / "c", tensors, {})
    back, _ = load(tmp_path / "c")
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape), name
        flat, flat_back = tensor.contiguous().flatten(), back[name].flatten()
        assert torch.equal(flat.view(torch.uint8), flat_back.view(torch.uint8)), name


def test_meta_comes_back(tmp_path):
    meta = {
        "penalty": 0.1 + 0.2,
        "best": math.inf,
        "worst": -math.inf,
        "tiny": 5e-324,
        "zero": -0.0,
        "none": None,
        "yes": True,
        "count": 2**70,
        "unit": "fc8:volcano é",
        "list": [1, [2.5, "x"]],
        "journals": {"trace.csv": 12},
    }
    save(tmp_path / "c", {"a": torch.zeros(1)}, {**meta, "nan": math.nan})
    _, back = load(tmp_path / "c")
    assert math.isnan(back.pop("nan"))
    assert back == meta
    assert math.copysign(1, back["zero"]) == -1
    assert back["yes"] is True


def test_loaded_tensors_outlive_the_file(tmp_path):
    save(tmp_path / "c", {"a": torch.arange(9.0)}, {})
    back, _ = load(tmp_path / "c")
    (tmp_path / "c").write_bytes(b"\xff" * 4096)
    assert torch.equal(back["a"], torch.arange(9.0))
    back["a"].add_(1)


def test_equal_contents_give_equal_bytes_in_another_process(tmp_path):
    script = (
        "import sys, torch; from pathlib import Path; from invset.run.checkpoint import save;"
        "save(Path(sys.argv[1]), {'b': torch.ones(2), 'a': torch.zeros(3)}, {'x': 1, 'y': 2.5, 'z': 'k'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "1")], env=environment, check=True, timeout=60)
    save(tmp_path / "2", {"a": torch.zeros(3), "b": torch.ones(2)}, {"x": 1, "y": 2.5, "z": "k"})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors: there is no checkpoint"):
        load(path)
    save(path, {"a": torch.zeros(100)}, {"step": 1})
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[:5],
        whole[:60],
        whole[:-1],
        whole + b"x",
        b"PK\x03\x04" + whole,
        b"\xff" * 200,
    ):
        path.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors: .*damaged.* new run"):
            load(path)
    for metadata in (None, {"format": "pt"}, {"invset": "no JSON"}, {"invset": "[1]"}):
        save_file({"a": torch.zeros(1)}, path, metadata)
        with pytest.raises(RunFolderError, match=r"not one of invset's"):
            load(path)
    with pytest.raises(RunFolderError, match="cannot be read"):
        load(tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    save(path, {"a": torch.zeros(100)}, {"step": 1})
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, bytes(data)[:-60])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match=r"checkpoint\.safetensors.*No space left.*stays.*make room.*resume="):
            save(path, {"a": torch.ones(100)}, {"step": 2})
    assert load(path)[1] == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_meta_that_json_lacks_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError):
        save(tmp_path / "c", {}, {"tensor": torch.zeros(1)})
    assert not list(tmp_path.iterdir())


def test_what_lies_apart_in_memory_is_not_copied(tmp_path, monkeypatch):
    """The codes of n = 10,000 samples are many; whatever shares memory is."""
    base = torch.randn(6, 4)
    taken = {}

    def to_safetensors(tensors, metadata):
        taken.update({name: tensor.data_ptr() for name, tensor in tensors.items()})
        return b""

    monkeypatch.setattr("invset.run.checkpoint.to_safetensors", to_safetensors)
    own = torch.randn(3)
    save(tmp_path / "a", {"base": base, "again": base, "rows": base[2:], "columns": base[:, 1:], "own": own}, {})
    assert taken["base"] == base.data_ptr()
    assert taken["own"] == own.data_ptr()
    assert len(set(taken.values())) == 5
