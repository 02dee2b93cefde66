"""PPGN's update (Nguyen et al. 2017, eq. 11) against a transcription of it in NumPy, its gradients by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from invset.baselines.ppgn import PpgnSettings
from invset.errors import ConfigError
from tests.makers import ppgn
from tests.toys import Tiny, walk

SHIPPED: dict[str, Any] = {}
LOUD = {"epsilon1": 0.3, "epsilon3": 0.2, "step": 0.4, "end_step": 0.1}


def numpy_ppgn(toy: Tiny, settings: PpgnSettings, h: np.ndarray, noises: list[np.ndarray], steps: int) -> list:
    """One chain by the book: codes before each step."""
    codes = []
    for i in range(steps):
        codes.append(h.copy())
        at = toy.forward(h)
        prior = at["E"] - h
        logits = at["layer"]
        e = np.exp(logits - logits.max())
        p = e / (1e-10 + e.sum())
        one_hot = np.zeros_like(logits)
        for unit in toy.units:
            one_hot[unit] += 1 - p[unit]
        condition = toy.backward_to_code(at, toy.backward_to_image(at, one_hot))
        d = settings.epsilon1 * prior + settings.epsilon2 * condition + settings.epsilon3 * noises[i]
        end = settings.step if settings.end_step is None else settings.end_step
        step = settings.step + (end - settings.step) * i / settings.steps
        h = np.clip(h + step / np.abs(d).mean() * d, 0, 30)
    return codes


@pytest.mark.parametrize("units", [(2,), (2, 0)], ids=["p=1", "p=2"])
@pytest.mark.parametrize("settings", [SHIPPED, LOUD], ids=["shipped", "loud"])
def test_twenty_steps_are_those_of_the_transcription(settings: dict, units: tuple) -> None:
    toy = Tiny(wide=True, units=units, ranges=((-0.3, 0.3),) * len(units))
    method = ppgn(toy, steps=20, **settings)
    _, taken = walk(method, 20)
    assert len(taken) == 20
    noises = []
    state = method.begin()
    for _ in range(20):
        noises.append(method.noise(state).numpy())
        state, _ = method.step(state)
    for chain in range(3):
        start = taken[0].codes[chain].numpy()
        expected = numpy_ppgn(toy, method.settings, start, [noise[chain] for noise in noises], 20)
        ours = [step.codes[chain].numpy() for step in taken]
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-11)
        for step, code in zip(taken, expected, strict=True):
            layer = toy.forward(code)["layer"]
            np.testing.assert_allclose(step.evaluation.activations[chain], layer[list(units)], rtol=1e-9, atol=1e-11)
    moved = float((taken[19].codes - taken[0].codes).abs().max())
    assert moved > 0.5


def test_the_noise_is_standard_normal_and_new_for_each_chain_and_step() -> None:
    method = ppgn(Tiny(wide=True), chains=40)
    state = method.begin()
    noises = torch.stack([method.noise(state._replace(step=step)) for step in range(40)]).flatten()
    assert len(noises) == len(noises.unique()) == 40 * 40 * 7
    assert abs(float(noises.mean())) < 4 / len(noises) ** 0.5
    assert abs(float(noises.var()) - 1) < 4 * (2 / len(noises)) ** 0.5
    other = ppgn(Tiny(wide=True), chains=40)
    other.random_seed = 5
    assert not torch.equal(other.noise(state), method.noise(state))


def test_starts_are_standard_normal_codes_as_shipped_or_the_run_s_own() -> None:
    toy = Tiny(wide=True)
    codes = ppgn(toy, chains=400).begin().codes
    assert abs(float(codes.mean())) < 4 / codes.numel() ** 0.5
    assert abs(float(codes.var()) - 1) < 4 * (2 / codes.numel()) ** 0.5
    assert codes.dtype == torch.float64
    given = ppgn(toy, starts="given").begin().codes
    assert torch.equal(given, torch.stack([toy.draw(chain, 0) for chain in range(3)]))


def test_the_scale_is_that_of_the_code_s_bounds_if_it_has_any() -> None:
    toy = Tiny(wide=True)
    assert ppgn(toy).scale == 1
    assert ppgn(toy, toy.problem(code_bounds=(0.0, 3.75))).scale == 0.125
    assert ppgn(toy, toy.problem(code_bounds=(0.0, 3.75)), scale=2.0).scale == 2
    with pytest.raises(ConfigError, match="a scale of 0"):
        ppgn(toy, scale=0)


def test_a_direction_of_zeros_moves_nothing() -> None:
    """Where the original divides by 0 and stops."""
    toy = Tiny(wide=True)
    method = ppgn(toy, epsilon1=0, epsilon2=0, epsilon3=0, starts="given")
    method.draw = lambda chain, attempt: toy.draw(chain, attempt).abs()
    _, taken = walk(method, 3)
    assert torch.equal(taken[2].codes, taken[0].codes)


def test_without_a_fitting_encoder_it_says_what_to_do() -> None:
    toy = Tiny(wide=True)
    read = toy.read
    toy.read = lambda images: (read(images)[0][:, :3], read(images)[1])  # type: ignore[method-assign]
    method = ppgn(toy)
    with pytest.raises(ConfigError, match="encoder that the generator inverts, or an ε₁ of 0"):
        method.step(method.begin())
    method = ppgn(toy, epsilon1=0)
    method.step(method.begin())
