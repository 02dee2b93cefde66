"""A state taken apart, saved, and put together again is the same state."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from invset.core.diversity import Moments
from invset.core.lagrangian import Multipliers, Scales
from invset.core.scales import Distances
from invset.core.state import Lives, State
from invset.core.steps import Steps
from invset.errors import RunFolderError
from invset.run import checkpoint, states

CPU = torch.device("cpu")


def some_state() -> State:
    return State(
        phase="sampling",
        codes=torch.randn(3, 5),
        multipliers=Multipliers(torch.tensor([[1e-30], [-0.0], [3.0]]), 1000.0),
        steps=Steps.first(3, CPU),
        previous=Moments.of(torch.randn(2, 7, dtype=torch.float64)),
        scales=Scales(1 / 3, torch.tensor([5.0])),
        distances=Distances(0.1, 1e300),
        attempts=torch.tensor([0, 2**40, 7]),
        outer=0,
        inner=12,
        step=34,
        idle=0,
        outer_violation=torch.full((3,), torch.inf),
        outer_objective=0.0,
        closest=torch.tensor([torch.nan]),
        closest_violation=float("inf"),
        lives=Lives(
            torch.tensor([0, 3, 2**40]),
            torch.randn(3, 5),
            torch.tensor([0.5, 1.0, 1e-30]),
            torch.tensor([[torch.nan], [1.0], [2.0]]),
            torch.tensor([[torch.nan], [3.0], [4.0]]),
            torch.zeros(1, 10),
            torch.ones(1, 10),
        ),
    )


def leaves(state: NamedTuple) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in state._asdict().items():
        if hasattr(value, "_fields"):
            found |= {f"{name}.{key}": entry for key, entry in leaves(value).items()}
        else:
            found[name] = value
    return found


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        bits = [tensor.contiguous().numpy().tobytes() for tensor in (one, other)]
        return one.dtype == other.dtype and one.shape == other.shape and bits[0] == bits[1]
    return type(one) is type(other) and one == other


def test_through_a_checkpoint_bit_for_bit(tmp_path):
    state = some_state()
    tensors, values = states.pack(state)
    checkpoint.save(tmp_path / "c", tensors, values)
    back = states.unpack(State, *checkpoint.load(tmp_path / "c"), CPU)
    assert type(back) is State
    assert type(back.previous) is Moments
    before, after = leaves(state), leaves(back)
    assert before.keys() == after.keys()
    for name in before:
        assert same(before[name], after[name]), name


def test_groups_through_a_checkpoint_bit_for_bit(tmp_path):
    parts = (some_state(), some_state()._replace(phase="seeding", outer=3))
    tensors, values = states.pack(some_state()._replace(groups=parts))
    checkpoint.save(tmp_path / "c", tensors, values)
    back = states.unpack(State, *checkpoint.load(tmp_path / "c"), CPU)
    assert [type(one) for one in back.groups] == [State, State]
    for one, other in zip(parts, back.groups, strict=True):
        assert all(same(value, leaves(other)[name]) for name, value in leaves(one).items())


def test_a_checkpoint_from_before_there_were_groups():
    tensors, values = states.pack(some_state())
    del values["groups"]
    assert states.unpack(State, tensors, values, CPU).groups == ()


def test_names_are_dotted():
    tensors, values = states.pack(some_state())
    assert {"codes", "multipliers.values", "attempts"} <= set(tensors)
    assert values["phase"] == "sampling"
    assert values["multipliers.penalty"] == 1000
    assert not tensors.keys() & values.keys()


def test_packing_changes_nothing():
    state = some_state()
    before = {name: value.clone() for name, value in leaves(state).items() if isinstance(value, torch.Tensor)}
    states.pack(state)
    assert all(same(before[name], value) for name, value in leaves(state).items() if name in before)


@pytest.mark.parametrize("missing", ["codes", "phase", "multipliers.values", "multipliers.penalty", "outer_objective"])
def test_what_another_version_wrote(missing):
    tensors, values = states.pack(some_state())
    tensors.pop(missing, None)
    values.pop(missing, None)
    with pytest.raises(RunFolderError, match=rf"no '{missing}': another version of invset"):
        states.unpack(State, tensors, values, CPU)


def test_what_it_does_not_know_is_left_out():
    tensors, values = states.pack(some_state())
    back = states.unpack(State, tensors, values | {"tally.samples": 3}, CPU)
    assert not hasattr(back, "tally.samples")
