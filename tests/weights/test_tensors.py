"""PyTorch's files, written by torch and safetensors themselves; modules filled from them; a little fuzzing of all."""

from __future__ import annotations

import io
import pickle
import random
import runpy
import sys
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from invset.errors import WeightsError
from invset.weights.formats import kind
from invset.weights.tensors import fill, read_safetensors, read_tensors

STATE = OrderedDict(
    {
        "conv.weight": torch.arange(24.0).view(2, 3, 2, 2),
        "conv.bias": torch.tensor([0.5, -1]).half(),
        "norm.num_batches_tracked": torch.tensor(7),
        "view": torch.arange(6.0).view(2, 3).t(),
    }
)


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return list(found) == list(expected) and all(
        found[name].dtype == value.dtype and torch.equal(found[name], value) for name, value in expected.items()
    )


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    "wrap", [dict, OrderedDict, lambda s: {"epoch": 3, "state_dict": s}, lambda s: {"model": s, "note": "x"}]
)
def test_what_torch_saves(tmp_path: Path, wrap: Any, new: bool) -> None:
    path = tmp_path / "weights.bin"
    torch.save(wrap(STATE), path, _use_new_zipfile_serialization=new)
    assert equal(read_tensors(path), STATE)
    assert kind(path) == "torch"


def test_what_data_parallel_and_parameters_save(tmp_path: Path) -> None:
    torch.save({f"module.{name}": nn.Parameter(torch.ones(2)) for name in "ab"}, tmp_path / "w.pth")
    found = read_tensors(tmp_path / "w.pth")
    assert equal(found, {"a": torch.ones(2), "b": torch.ones(2)})
    assert not any(value.requires_grad for value in found.values())


def test_a_module_called_module_keeps_its_name(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "w.pth")
    assert list(read_tensors(tmp_path / "w.pth")) == ["module.a", "b"]


def test_safetensors_with_any_suffix(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    plain = {name: value.contiguous() for name, value in STATE.items()}
    save_file(plain, path, {"size": "64"})
    tensors, metadata = read_safetensors(path)
    assert metadata == {"size": "64"}
    assert equal(dict(sorted(tensors.items())), dict(sorted(plain.items())))
    assert equal(dict(sorted(read_tensors(path).items())), dict(sorted(plain.items())))
    assert kind(path) == "safetensors"


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "old"])
def test_a_file_may_change_while_its_tensors_are_in_use(tmp_path: Path, suffix: str) -> None:
    path, state = tmp_path / f"w.{suffix}", {"a": torch.ones(10**5)}
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pt")
    found = read_tensors(path)
    path.write_bytes(b"short")
    assert equal(found, state)


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("code in the file was run",))


def saved(content: Any, new: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


HOSTILE = {
    "nothing": (b"", "is empty"),
    "page": (b"<html>404", "is a web page"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no file of PyTorch's tensors"),
    "zeros": (bytes(1000), "no file of PyTorch's tensors"),
    "code": (saved({"a": Harm()}), "nothing is run"),
    "old code": (saved({"a": Harm()}, new=False), "nothing is run"),
    "pickled code": (pickle.dumps(Harm()), "nothing is run"),
    "module": (saved(nn.Linear(2, 2)), "nothing is run"),
    "numbers": (saved({"a": torch.ones(2), "epoch": 3}), "'epoch' is a int"),
    "nested": (saved({"net": {"a": torch.ones(2)}}), "'net' is a dict"),
    "list": (saved([torch.ones(2)]), "no tensors by name"),
    "none": (saved({}), "no tensors by name"),
    "numbered": (saved({3: torch.ones(2)}), "'3' is a Tensor"),
    "cut": (saved({"a": torch.ones(99)})[:-200], "cannot be read by torch.load"),
    "cut old": (saved({"a": torch.ones(99)}, new=False)[:-200], "cannot be read by torch.load"),
    "safetensors": ((2**20).to_bytes(8, "little") + b"{" + bytes(50), "cannot be read as safetensors"),
    "safetensors of nothing": ((2).to_bytes(8, "little") + b"{", "cannot be read as safetensors"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    data, message = HOSTILE[name]
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=message) as caught:
        read_tensors(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500


def test_no_file(tmp_path: Path) -> None:
    for read in (read_tensors, read_safetensors):
        with pytest.raises(WeightsError, match="there is no such file"):
            read(tmp_path / "absent")


class Toy(nn.Module):
    """With a buffer that no file carries, on the CPU by itself or not, beside one that every file does."""

    def __init__(self, width: int = 3, device: str | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)
        self.register_buffer("mean", torch.tensor([1.0, 2.0], device=device), persistent=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.linear(self.dropout(x - self.mean)))
        return y


@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_filled_module_computes_as_the_one_that_was_saved(tmp_path: Path, device: str | None) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Toy().eval()
        module.norm.running_mean.normal_()
        x = torch.randn(5, 2)
        torch.save(module.state_dict(), tmp_path / "w.pt")
        before = torch.get_rng_state()
        filled = fill(lambda: Toy(device=device), read_tensors(tmp_path / "w.pt"), tmp_path / "w.pt", "Advice.")
        assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(filled, Toy)
    assert torch.equal(filled(x), module(x))
    assert not filled.training
    assert not any(value.requires_grad or value.is_meta for value in (*filled.parameters(), *filled.buffers()))


def test_filling_takes_the_modules_type_and_leaves_the_counts_of_batches_aside() -> None:
    state = {name: value.double() for name, value in Toy().state_dict().items() if not name.endswith("tracked")}
    filled = fill(Toy, state, "w.pt", "Advice.")
    assert filled.linear.weight.dtype == torch.float32
    assert filled.norm.num_batches_tracked.tolist() == 0
    assert all(value.dtype == torch.float64 for value in state.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"linear.weight": torch.zeros(4, 2)}, r"linear.weight should be \(3, 2\), is \(4, 2\)"),
        ({"linear.bias": None}, r"linear.bias should be \(3,\), is absent"),
        ({"fc8.weight": torch.zeros(2)}, r"fc8.weight should be absent, is \(2,\)"),
        ({"linear.bias": torch.zeros(3, dtype=torch.int8)}, r"linear.bias should be \(3,\), is \(3,\) of torch.int8"),
        ({"linear.weight": torch.zeros(3, 2).expand(9, 3, 2)}, r"linear.weight should be \(3, 2\), is \(9, 3, 2\)"),
    ],
)
def test_the_first_difference_is_named(change: dict[str, Any], message: str) -> None:
    state = {name: value for name, value in {**Toy().state_dict(), **change}.items() if value is not None}
    with pytest.raises(WeightsError, match=rf"^w.pt: {message}. Advice.$"):
        fill(Toy, state, "w.pt", "Advice.")


def test_a_file_cannot_ask_for_more_memory_than_it_fills() -> None:
    """Ten terabytes of parameters, were they not on the meta device."""
    with pytest.raises(WeightsError, match="should be"):
        fill(lambda: nn.Linear(10**6, 10**6 * 5 // 2), {"weight": torch.zeros(1)}, "w.pt", "Advice.")


@pytest.fixture(scope="module")
def fuzz() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "fuzz.py")))


@pytest.mark.parametrize("name", ["caffemodel", "binaryproto", "matconvnet", "safetensors", "torch"])
def test_damaged_files_end_in_tensors_or_in_one_error(tmp_path: Path, fuzz: SimpleNamespace, name: str) -> None:
    counts, _ = fuzz.fuzz(name, fuzz.whole_files(tmp_path), 300, random.Random(name), tmp_path)
    assert counts["failed"] == 0
    assert min(counts["loaded"], counts["refused"]) > 0
