import gc
import pickle
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from invset.models.layers import FoundLayer, discover, read_layers
from invset.models.network import Network
from tests.models.zoo import Zoo

Count = Callable[[nn.Module], Counter[str]]


def hooks(module: nn.Module) -> int:
    return sum(len(submodule._forward_hooks) for submodule in module.modules())


def test_outputs_are_those_of_calling_the_layers_by_hand(toy: Network, images: Tensor) -> None:
    outputs = read_layers(toy.module, ["fc", "conv"], images)
    assert list(outputs) == ["fc", "conv"]
    conv = toy.module.get_submodule("conv")(images)
    torch.testing.assert_close(outputs["conv"], conv, rtol=0, atol=0)
    torch.testing.assert_close(outputs["fc"], toy.module.get_submodule("fc")(conv.flatten(1)), rtol=0, atol=0)


def test_one_pass_stops_at_the_deepest_layer_read(toy: Network, images: Tensor, count_calls: Count) -> None:
    calls = count_calls(toy.module)
    read_layers(toy.module, ["fc", "conv", "fc", "conv.0"], images)
    assert calls == {"": 1, "conv": 1, "conv.0": 1, "conv.1": 1, "fc": 1}
    calls.clear()
    read_layers(toy.module, ["conv.0"], images)
    assert calls == {"": 1, "conv": 1, "conv.0": 1}


def test_gradients_flow_through_every_layer_read(toy: Network, images: Tensor) -> None:
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = read_layers(toy.module, ["conv", "fc"], x)
        return outputs["conv"].mean(dim=(2, 3)), outputs["fc"]

    assert torch.autograd.gradcheck(both, (images[:1].requires_grad_(True),))


def test_an_in_place_relu_does_not_change_what_was_read() -> None:
    module = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=True), nn.Linear(4, 1))
    images = torch.tensor([[-1.0, 2.0, -3.0, 4.0]])
    outputs = read_layers(module, ["0", "1", "2"], images.clone())
    assert outputs["0"].tolist() == images.tolist()
    assert outputs["1"].tolist() == images.clamp(min=0).tolist()


def test_hooks_are_gone_after_success_and_after_failure(toy: Network, images: Tensor) -> None:
    read_layers(toy.module, ["conv", "fc"], images)
    assert hooks(toy.module) == 0
    with pytest.raises(RuntimeError):
        read_layers(toy.module, ["fc"], images[:, :2])
    assert hooks(toy.module) == 0


def test_a_layer_that_runs_twice_is_read_the_first_time() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = nn.Hardtanh(-2, 2)
            self.end = nn.Identity()

        def forward(self, x: Tensor) -> Any:
            return self.end(self.clip(self.clip(x) + 1) + 1)

    outputs = read_layers(Twice(), ["clip", "end"], torch.tensor([0.5]))
    assert (outputs["clip"].item(), outputs["end"].item()) == (0.5, 2.5)


def test_what_a_pass_made_goes_with_the_last_reference_to_it():
    """Without Python's sweep for cycles, which comes late: on a device it knows nothing of the memory held."""
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    images = torch.ones(2, 3, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        outputs = read_layers(module, ["0", "1"], images)
        graph = weakref.ref(outputs["1"])
        del outputs
        assert graph() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_threads_may_read_one_network_at_once(toy: Network, images: Tensor) -> None:
    alone = {layer: read_layers(toy.module, [layer], images)[layer] for layer in ("conv", "fc")}

    def reading(layer: str) -> bool:
        return all(torch.equal(read_layers(toy.module, [layer], images)[layer], alone[layer]) for _ in range(100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(reading, ["conv", "fc"] * 4))
    assert hooks(toy.module) == 0


def test_layers_in_the_order_in_which_they_are_done() -> None:
    found = discover(Zoo().eval(), torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert found == {
        "stem": FoundLayer((6, 8, 8)),
        "relu": FoundLayer((6, 8, 8), runs=3),
        "last_channels": FoundLayer((6, 8, 8)),
        "tokens": FoundLayer((6, 65)),
        "block.0": FoundLayer((5, 8, 8)),
        "block.1": FoundLayer((5, 1, 1)),
        "block.2": FoundLayer((5,)),
        "block": FoundLayer((5,)),
        "head.0": FoundLayer((5,)),
        "head.1": FoundLayer((7,), final=True),
        "head": FoundLayer((7,), final=True),
        "": FoundLayer((7,), final=True),
    }


def test_looking_leaves_nothing_behind() -> None:
    module, images = Zoo().eval(), torch.zeros(2, 3, 8, 8)
    before = torch.get_rng_state()
    first = discover(module, images)
    module(images)
    assert discover(module, images) == first
    assert torch.equal(before, torch.get_rng_state())
    pickle.dumps(module)  # which local functions, as hooks are, do not survive
