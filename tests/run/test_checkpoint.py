"""Checkpoints: a state taken apart and put together again, bit for bit; the file is whole or not there."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from invset.core.paper import PaperState
from invset.errors import RunFolderError
from invset.run.checkpoint import load, pack, unpack, write
from invset.run.json_files import write_atomically
from tests.toys import Linear, assert_same_bits, walk

CPU = torch.device("cpu")


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    write_atomically(path, write(tensors, meta))


def some_state() -> PaperState:
    """Of two groups, one of them at its end; with NaN, infinities and -0."""
    state, _ = walk(Linear().paper(groups=2), 3)
    chains = state.chains._replace(violation=torch.tensor([torch.nan, torch.inf, -0.0, 1e-45, 1.0, 2.0]))
    return state._replace(chains=chains, phases=("unreachable", "sampling"))


def test_a_state_through_a_checkpoint(tmp_path: Path) -> None:
    """With other entries beside; every method's states: see the tests of methods."""
    state = some_state()
    tensors, values = pack(state)
    assert {"chains.codes", "accepted.sum", "scales.constraint"} <= set(tensors)
    assert values["phases"] == ("unreachable", "sampling")
    assert not tensors.keys() & values.keys()
    save(tmp_path / "c", tensors, values | {"tally.samples": 3})
    back = unpack(PaperState, *load(tmp_path / "c"), CPU)
    assert type(back) is PaperState
    assert_same_bits(back, state)


@pytest.mark.parametrize("missing", ["chains.codes", "phases", "distances.codes", "scales.objective", "step"])
def test_what_another_version_wrote(missing: str) -> None:
    tensors, values = pack(some_state())
    tensors.pop(missing, None)
    values.pop(missing, None)
    with pytest.raises(RunFolderError, match=rf"no '{missing}': another version of invset"):
        unpack(PaperState, tensors, values, CPU)


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
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
    (tmp_path / "c").write_bytes(b"\xff" * 4096)  # they outlive the file
    for name, tensor in tensors.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape), name
        flat, flat_back = tensor.contiguous().flatten(), back[name].flatten()
        assert torch.equal(flat.view(torch.uint8), flat_back.view(torch.uint8)), name


def test_meta_comes_back(tmp_path: Path) -> None:
    meta = {
        "penalty": 0.1 + 0.2, "best": math.inf, "worst": -math.inf, "tiny": 5e-324, "zero": -0.0, "none": None,
        "yes": True, "count": 2**70, "unit": "fc8:volcano é", "list": [1, [2.5, "x"]], "journals": {"trace.csv": 12},
    }  # fmt: skip
    save(tmp_path / "c", {"a": torch.zeros(1)}, {**meta, "nan": math.nan})
    _, back = load(tmp_path / "c")
    assert math.isnan(back.pop("nan"))
    assert back == meta
    assert math.copysign(1, back["zero"]) == -1
    assert back["yes"] is True


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    """The library writes several entries of metadata in an order that changes from call to call."""
    for number in range(8):
        tensors = {"a": torch.zeros(3), "b": torch.ones(2)}
        meta = {f"entry {entry}": entry / 2 for entry in range(8)}
        save(tmp_path / str(number), dict(sorted(tensors.items(), reverse=number % 2 == 1)), meta)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    words = r"checkpoint\.safetensors: (cannot be read|damaged).* new run"
    with pytest.raises(RunFolderError, match=words):
        load(path)
    save(path, {"a": torch.zeros(100)}, {"step": 1})
    whole = path.read_bytes()
    for damaged in (b"", whole[:5], whole[:60], whole[:-1], whole + b"x", b"PK\x03\x04" + whole, b"\xff" * 200):
        path.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=words):
            load(path)
    drawn = random.Random(0)
    for _ in range(300):  # whatever byte changes
        changed = bytearray(whole)
        changed[drawn.randrange(8, len(whole))] ^= 1 << drawn.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(RunFolderError, match=words):
            load(path)
    for metadata in (None, {"format": "pt"}, {"invset": "no JSON"}, {"invset": "[1]"}):
        save_file({"a": torch.zeros(1)}, path, metadata)
        with pytest.raises(RunFolderError, match=words):
            load(path)


def test_a_full_disk_leaves_the_old_checkpoint_and_no_litter(tmp_path: Path, full_disk) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save(path, {"a": torch.zeros(10)}, {"step": 1})
    with full_disk(500), pytest.raises(RunFolderError, match=r"checkpoint\.safetensors: cannot be written"):
        save(path, {"a": torch.ones(1000)}, {"step": 2})
    assert load(path)[1] == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
