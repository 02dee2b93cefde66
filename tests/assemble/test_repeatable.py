"""Models that answer otherwise each time, or otherwise in another batch, are refused as a run begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import invset
from invset.assemble.models import build_models
from invset.assemble.repeatable import require_repeatable
from invset.settings import NetworkSettings, SampleSettings

Make = Callable[[], nn.Module]


class Doing(nn.Module):
    """Does something of its own with what it is given, in eval mode too."""

    def __init__(self, work: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.work = work

    def forward(self, x: Tensor) -> Tensor:
        return self.work(x)


def network(*between: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), *between, nn.Flatten(), nn.Linear(36, 5))


def generator(*between: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(nn.Linear(6, 192), *between, nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))


def sample(network: nn.Module, generator: nn.Module, **settings: Any) -> invset.Samples:
    return invset.sample("logits:2", (-0.2, 0.4), network=network, generator=generator, code=6, n=3, **settings)


DROPPED = Doing(lambda x: F.dropout(x, 0.1, training=True))
NOISY = Doing(lambda x: x + 0.05 * torch.randn_like(x))
SCALED = Doing(lambda x: x / x.abs().amax())
AGAIN, ALONE = "another answer for the same {} each time", "another answer for a {} alone than for it in a batch"


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (DROPPED, AGAIN),
        (NOISY, AGAIN),
        (SCALED, ALONE),
        (nn.BatchNorm2d(4, track_running_stats=False), ALONE),
    ],
    ids=["dropout", "noise", "batch's maximum", "batch's statistics"],
)
@pytest.mark.parametrize("encoder", ["none", {"network": "same", "layer": "2"}], ids=["no encoder", "encoder"])
def test_networks(layer: nn.Module, says: str, encoder: Any) -> None:
    with pytest.raises(invset.ConfigError, match=f"^network Sequential gives {says.format('image')}.*: let it"):
        sample(network(layer), generator(), encoder=encoder)


@pytest.mark.parametrize(
    ("layer", "says"),
    [(DROPPED, AGAIN), (SCALED, ALONE), (nn.BatchNorm1d(192, track_running_stats=False), ALONE)],
    ids=["dropout", "batch's maximum", "batch's statistics, which are none of a code alone"],
)
def test_generators(layer: nn.Module, says: str) -> None:
    with pytest.raises(invset.ConfigError, match=f"^generator Sequential gives {says.format('code')}.*: let it"):
        sample(network(), generator(layer), encoder="none")


def test_an_encoder_beyond_the_unit() -> None:
    """The pass for the unit alone would end before it."""
    with pytest.raises(invset.ConfigError, match=r"^encoder Sequential gives another answer for the same image"):
        invset.sample("0:2", (-0.2, 0.4), network=network(DROPPED), generator=generator(), code=6, encoder="1")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_models_that_depend_on_a_code_alone_are_not_refused(precision: str) -> None:
    """With what only looks like the above: dropout that is off in eval mode, BatchNorm with running statistics."""
    kind = network(nn.BatchNorm2d(4), nn.Dropout(), nn.GroupNorm(2, 4))
    assert len(sample(kind, generator(nn.BatchNorm1d(192)), encoder="none", precision=precision)) == 3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "name", "layer"),
    [("mini", None, "fc8"), ("torchvision", "shufflenet_v2_x0_5", "logits"), ("timm", "levit_128s", "logits")],
)
def test_rounding_is_far_from_being_refused(
    kind: str, name: str | None, layer: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and in a batch last bits differ: a hundredth of what is allowed would do."""
    if kind == "timm":
        pytest.importorskip("timm")
    weights = None if kind == "mini" else "random"
    settings = SampleSettings(network=NetworkSettings(kind, name, weights=weights), precision=precision)
    models = build_models(settings, (f"{layer}:3",))
    codes = models.generator.statistics.bank[:4]  # type: ignore[union-attr]
    for name in ("SHARE", "ROUNDINGS"):
        monkeypatch.setattr(f"invset.assemble.repeatable.{name}", 0.01 * {"SHARE": 0.003, "ROUNDINGS": 32}[name])
    require_repeatable(models, codes, precision)
