"""What is settled before networks are built: precision, the order of maps, how much goes through at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from invset.assemble.device import place, prepare_torch
from invset.assemble.methods import method_class
from invset.assemble.sampling import LARGE_MICRO_BATCH, MICRO_BATCH, choose_batch_size
from invset.errors import ConfigError
from invset.models.network import Network


@pytest.fixture
def flags() -> Iterator[None]:
    """Leaves torch as it was."""
    cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, matmul


def test_float32_is_whole_in_convolutions_too(flags: None) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    prepare_torch("cpu", None)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "highest"


def test_tf32_without_a_gpu_is_refused(flags: None) -> None:
    with pytest.raises(ConfigError, match="precision=tf32 is for GPUs, and the device is cpu"):
        prepare_torch("cpu", None, "tf32")


@pytest.mark.parametrize(
    ("device", "precision", "asked", "last"),
    [
        ("cpu", "float32", None, True),
        ("cpu", "float32", False, False),
        ("cuda", "float32", None, False),
        ("cuda", "tf32", None, True),
        ("cuda", "bfloat16", None, True),
        ("cuda", "float32", True, True),
    ],
)
def test_order_of_maps(
    device: str, precision: str, asked: bool | None, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network("toy", nn.Sequential(nn.Conv2d(3, 4, 3)), {"conv": "0"}, (3, 8, 8))
    moved: list[tuple[object, ...]] = []
    monkeypatch.setattr(Network, "to", lambda self, *given: moved.append(given))
    place(network, torch.device(device), precision, asked)
    assert moved[0][0] == torch.device(device)
    assert moved[0][2] is last


def test_channels_last_on_a_cpu_gives_the_same_to_rounding() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = Network("toy", nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)), {"pool": "1"}, (3, 8, 8))
    before = network.read(["pool"], images)["pool"]
    place(network, torch.device("cpu"), "float32")
    assert network.module.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network.read(["pool"], images)["pool"], before)


class Views(nn.Module):
    """As many write it: flattened by a view, which maps with channels last have not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).relu().view(-1, 4 * 6 * 6))


def test_a_network_that_cannot_be_run_with_channels_last_is_run_as_it_is() -> None:
    network = Network("toy", Views(), {"fc": "fc"}, (3, 8, 8))
    place(network, torch.device("cpu"), "float32")
    assert network.module.get_parameter("conv.weight").is_contiguous()
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    network.read(["fc"], images)["fc"].sum().backward()


@pytest.mark.parametrize(
    ("asked", "method", "device", "size"),
    [
        ("auto", "multistart", "cuda", None),
        ("auto", "full", "cpu", MICRO_BATCH),
        ("auto", "full", "cuda", LARGE_MICRO_BATCH),
        (None, "full", "cuda", LARGE_MICRO_BATCH),
        (7, "full", "cuda", 7),
    ],
)
def test_codes_at_once(asked: int | str | None, method: str, device: str, size: int | None) -> None:
    assert choose_batch_size(asked, method_class(method), torch.device(device)) == size
