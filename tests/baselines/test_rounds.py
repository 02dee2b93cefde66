"""What the baselines share: rounds of so many steps, new starts, and when they give up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch

from invset.baselines.dgn_am import DgnAmSettings
from invset.baselines.penalty import PenaltySettings
from invset.baselines.pixel_ascent import PixelAscentSettings
from invset.baselines.ppgn import PpgnSettings
from invset.core.region import Region
from invset.errors import ConfigError
from invset.settings import options
from tests.makers import BASELINES, Maker
from tests.toys import walk

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(params=[one for one in BASELINES if one.rounds], ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    return request.param


def test_rounds_end_and_begin_anew(maker: Maker) -> None:
    """Steps are counted on, starts are new, and after the last round it is done."""
    state, taken = walk(maker(rounds=3), 100)
    assert state.phase == "done"
    assert [step.number for step in taken] == list(range(12))
    assert [int(step.outer[0]) for step in taken] == [0] * 4 + [1] * 4 + [2] * 4
    starts = [taken[i].codes for i in (0, 4, 8)]
    assert not torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[1], starts[2])
    for before, after in pairwise(taken):
        if after.number % 4:
            torch.testing.assert_close(before.lengths, (after.codes - before.codes).norm(dim=1))


def test_last_only_takes_what_a_round_ends_with(maker: Maker) -> None:
    _, everything = walk(maker(), 12)
    _, taken = walk(maker(take="last_only"), 12)
    for step, other in zip(taken, everything, strict=True):
        assert torch.equal(step.feasible, other.feasible)
        assert torch.equal(step.samples, other.samples if step.number % 4 == 3 else other.samples[:0])


def test_a_method_that_finds_nothing_for_three_rounds_stalls(maker: Maker) -> None:
    method = maker()
    ascent: Any = getattr(method, "ascent", method)
    lower, upper, *rest = (getattr(ascent.region, name) for name in Region.__dataclass_fields__)
    ascent.region = Region(lower + 1e3, upper + 1e3, *rest)
    state, taken = walk(method, 100)
    assert (state.phase, len(taken)) == ("stalled", 12)


@pytest.mark.parametrize("maker", [one for one in BASELINES if one.alone], ids=lambda maker: maker.name)
def test_chains_do_not_depend_on_each_other(maker: Maker) -> None:
    """The first chain of three goes where it goes alone."""
    together, alone = walk(maker(), 3)[1], walk(maker(chains=1), 3)[1]
    for ours, single in zip(together, alone, strict=True):
        torch.testing.assert_close(ours.codes[:1], single.codes, rtol=1e-9, atol=1e-12)
    assert not torch.equal(together[-1].codes[0], together[-1].codes[1])


def test_shipped_settings() -> None:
    """PPGN's Table 1: 2,000 images, once. DGN-AM's 1_activate_output.sh: from 8 down to nothing, bounds from 0 up."""
    s = PpgnSettings()
    assert (s.steps, s.rounds, s.take, s.epsilon1, s.epsilon2, s.epsilon3) == (200, 1, "every_step", 1e-5, 1, 1e-17)
    d = DgnAmSettings()
    assert (d.steps, d.step, d.end_step, d.decay, d.deviations, d.lowest) == (200, 8.0, 1e-10, 0.99, 3.0, 0.0)


WRONG = [
    (DgnAmSettings, {"steps": 0}), (DgnAmSettings, {"rounds": 0}), (DgnAmSettings, {"take": "best"}),
    (DgnAmSettings, {"decay": 1.5}), (PpgnSettings, {"starts": "codes"}), (PpgnSettings, {"epsilon": 1}),
    (PenaltySettings, {"power": 3}), (PenaltySettings, {"weight": 0.0}), (PenaltySettings, {"diversity": -1.0}),
    (PixelAscentSettings, {"decay": 1.1}), (PixelAscentSettings, {"small_norm": -1.0}),
    (PixelAscentSettings, {"small_contribution": 101.0}), (PixelAscentSettings, {"margin": 0.5}),
    (PixelAscentSettings, {"jitter": -1}), (PixelAscentSettings, {"blur_every": 0}),
    (PixelAscentSettings, {"beta": 0.5}), (PixelAscentSettings, {"blur_radius": float("nan")}),
    (PixelAscentSettings, {"step": "fast"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "given"), WRONG, ids=lambda value: str(value))
def test_settings_out_of_their_limits_are_refused(kind: type, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"method\.options\.{next(iter(given))}"):
        options(kind, given, "method")
