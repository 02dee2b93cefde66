"""DGN-AM (Nguyen et al. 2016) against a transcription of its two steps, at the image and at the code, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from invset.baselines.dgn_am import DgnAm, DgnAmSettings
from tests.makers import dgn_am
from tests.toys import Tiny, walk


def numpy_dgn_am(
    toy: Tiny, settings: DgnAmSettings, c: np.ndarray, upper: np.ndarray | None, lower: float, steps: int
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
def test_twenty_steps_are_those_of_the_transcription(bounded: bool, units: tuple) -> None:
    toy = Tiny(units=units, ranges=((-0.3, 0.3),) * len(units))
    method = dgn_am(toy, steps=20, step=0.8, decay=0.95, deviations=3.0 if bounded else None)
    _, taken = walk(method, 20)
    references = toy.references.numpy()
    upper = references.mean(axis=0) + 3 * references.std(axis=0, ddof=1) if bounded else None
    for chain in range(3):
        expected = numpy_dgn_am(toy, method.settings, taken[0].codes[chain].numpy(), upper, 0.0, 20)
        np.testing.assert_allclose([step.codes[chain].numpy() for step in taken], expected, rtol=1e-9, atol=1e-11)
    assert float(taken[-1].evaluation.activations.sum()) > float(taken[1].evaluation.activations.sum())


def test_bounds_are_those_of_the_statistics_given() -> None:
    toy = Tiny()
    mean, deviation = torch.linspace(0, 1, 7).double(), torch.linspace(1, 2, 7).double()
    parts = (toy.problem(), toy.region, toy.draw, toy.references, DgnAmSettings(lowest=None, decay=1.0))
    _, taken = walk(DgnAm(*parts, (mean, deviation), chains=5), 6)
    for step in taken[1:]:
        assert (step.codes <= mean + 3 * deviation + 1e-12).all()
        assert (step.codes >= mean - 3 * deviation - 1e-12).all()
    assert torch.isclose(taken[1].codes, mean + 3 * deviation).any()
    assert torch.isclose(taken[1].codes, mean - 3 * deviation).any()


def test_a_chain_without_a_gradient_waits() -> None:
    toy = Tiny()
    read = toy.read
    toy.read = lambda images: (read(images)[0], 0 * read(images)[1])  # type: ignore[method-assign]
    _, taken = walk(dgn_am(toy), 3)
    assert torch.equal(taken[2].codes, taken[0].codes)
