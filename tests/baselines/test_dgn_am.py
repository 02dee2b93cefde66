"""DGN-AM (Nguyen et al. 2016) against a transcription of its two steps, at the image and at the code, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from invset.baselines.dgn_am import DgnAmSettings
from invset.errors import ConfigError


def numpy_dgn_am(
    toy: Any, settings: DgnAmSettings, c: np.ndarray, upper: np.ndarray | None, lower: float, steps: int
) -> list:
    """One chain by the book: a normalised step at the image, what it changed pulled back, a normalised step."""
    codes = []
    for i in range(steps):
        codes.append(c.copy())
        step = settings.step + (settings.end_step - settings.step) * i / settings.steps
        at = toy.forward(c)
        one_hot = np.zeros(4)
        one_hot[list(toy.units)] = 1
        g = toy.backward_to_image(at, one_hot)
        x = at["x"] + step / np.abs(g).mean() * g
        g = toy.backward_to_code(at, x - at["x"])
        c = c + step / np.abs(g).mean() * g
        if upper is not None:
            c = np.minimum(np.maximum(c, lower), upper)
        c = c * settings.decay
    return codes


@pytest.mark.parametrize("units", [(2,), (2, 0)], ids=["p=1", "p=2"])
@pytest.mark.parametrize("bounded", [True, False])
def test_twenty_steps_are_those_of_the_transcription(
    bounded: bool, units: tuple, tiny: type, dgn_am: Callable, walk: Callable
) -> None:
    toy = tiny(units=units, ranges=((-0.3, 0.3),) * len(units))
    method = dgn_am(toy, steps=20, step=0.8, decay=0.95, deviations=3.0 if bounded else None)
    _, infos = walk(method, 20)
    references = toy.references.numpy()
    upper = references.mean(axis=0) + 3 * references.std(axis=0, ddof=1) if bounded else None
    for chain in range(3):
        expected = numpy_dgn_am(toy, method.settings, infos[0].codes[chain].numpy(), upper, 0.0, 20)
        np.testing.assert_allclose([info.codes[chain].numpy() for info in infos], expected, rtol=1e-9, atol=1e-11)
    assert float(infos[-1].evaluation.activations.sum()) > float(infos[1].evaluation.activations.sum())


def test_shipped_settings() -> None:
    """1_activate_output.sh: 200 steps from 8 down to nothing, decay 0.99, bounds from 3x, which is from 0 up."""
    s = DgnAmSettings()
    assert (s.steps, s.step, s.end_step, s.decay, s.deviations, s.lowest) == (200, 8.0, 1e-10, 0.99, 3.0, 0.0)


def test_bounds_are_those_of_the_statistics_given(tiny: type, walk: Callable) -> None:
    from invset.baselines.dgn_am import DgnAm

    toy = tiny()
    mean, deviation = torch.linspace(0, 1, 7).double(), torch.linspace(1, 2, 7).double()
    arguments = (toy.problem(), toy.region, toy.draw, toy.references, DgnAmSettings(lowest=None, decay=1.0))
    _, infos = walk(DgnAm(*arguments, (mean, deviation), chains=5), 6)
    for info in infos[1:]:
        assert (info.codes <= mean + 3 * deviation + 1e-12).all()
        assert (info.codes >= mean - 3 * deviation - 1e-12).all()
    assert torch.isclose(infos[1].codes, mean + 3 * deviation).any()
    assert torch.isclose(infos[1].codes, mean - 3 * deviation).any()


def test_a_chain_without_a_gradient_waits(tiny: type, dgn_am: Callable, walk: Callable) -> None:
    toy = tiny()
    problem = toy.problem()
    read = problem.read
    problem.read = lambda images: (read(images)[0], 0 * read(images)[1])
    _, infos = walk(dgn_am(toy, problem), 3)
    assert torch.equal(infos[2].codes, infos[0].codes)


def test_codes_in_other_units_take_the_same_steps(tiny: type, dgn_am: Callable, walk: Callable) -> None:
    plain = walk(dgn_am(tiny(), steps=10), 10)[1]
    scaled = walk(dgn_am(tiny(code_scale=0.25), steps=10, scale=0.25), 10)[1]
    for ours, theirs in zip(scaled, plain, strict=True):
        torch.testing.assert_close(4 * ours.codes, theirs.codes, rtol=1e-9, atol=1e-11)


def test_a_decay_that_is_none_is_refused(tiny: type, dgn_am: Callable) -> None:
    with pytest.raises(ConfigError, match=r"decay=1\.5"):
        dgn_am(tiny(), decay=1.5)
