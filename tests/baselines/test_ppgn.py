"""PPGN's update (Nguyen et al. 2017, eq. 11) against a transcription of it in NumPy, its gradients by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from invset.baselines.ppgn import Ppgn, PpgnSettings
from invset.errors import ConfigError

SHIPPED: dict[str, Any] = {}
LOUD = {"epsilon1": 0.3, "epsilon3": 0.2, "step": 0.4, "end_step": 0.1}


def numpy_ppgn(toy: Any, settings: PpgnSettings, h: np.ndarray, noises: list[np.ndarray], steps: int) -> list:
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
def test_twenty_steps_are_those_of_the_transcription(
    settings: dict, units: tuple, tiny: type, ppgn: Callable, walk: Callable
) -> None:
    toy = tiny(wide=True, units=units, ranges=((-0.3, 0.3),) * len(units))
    method = ppgn(toy, steps=20, **settings)
    _, infos = walk(method, 20)
    assert len(infos) == 20
    noises = []
    state = method.begin()
    for _ in range(20):
        noises.append(method.noise(state).numpy())
        state, _ = method.step(state)
    for chain in range(3):
        start = infos[0].codes[chain].numpy()
        expected = numpy_ppgn(toy, method.settings, start, [noise[chain] for noise in noises], 20)
        ours = [info.codes[chain].numpy() for info in infos]
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-11)
        for info, code in zip(infos, expected, strict=True):
            layer = toy.forward(code)["layer"]
            np.testing.assert_allclose(info.evaluation.activations[chain], layer[list(units)], rtol=1e-9, atol=1e-11)
    moved = float((infos[19].codes - infos[0].codes).abs().max())
    assert moved > 0.5


def test_the_noise_is_standard_normal_and_new_for_each_chain_and_step(tiny: type, ppgn: Callable) -> None:
    toy = tiny(wide=True)
    method = ppgn(toy, chains=40)
    state = method.begin()
    noises = torch.stack([method.noise(state._replace(step=step)) for step in range(40)])
    flat = noises.flatten()
    assert len(flat) == len(flat.unique()) == 40 * 40 * 7
    assert abs(float(flat.mean())) < 4 / len(flat) ** 0.5
    assert abs(float(flat.var()) - 1) < 4 * (2 / len(flat)) ** 0.5
    other = ppgn(toy, chains=40)
    other.plan = other.plan._replace(random_seed=5)
    assert not torch.equal(other.noise(state), method.noise(state))


def test_starts_are_standard_normal_codes_as_shipped(tiny: type, ppgn: Callable) -> None:
    codes = ppgn(tiny(wide=True), chains=400).begin().codes
    assert abs(float(codes.mean())) < 4 / codes.numel() ** 0.5
    assert abs(float(codes.var()) - 1) < 4 * (2 / codes.numel()) ** 0.5
    assert codes.dtype == torch.float64


def test_given_starts_are_the_run_s_own(tiny: type, ppgn: Callable) -> None:
    toy = tiny(wide=True)
    codes = ppgn(toy, starts="given").begin().codes
    assert torch.equal(codes, torch.stack([toy.draw(chain, 0) for chain in range(3)]))


@pytest.mark.parametrize("scale", [0.125, 1000.0])
def test_codes_in_other_units_with_their_scale_take_the_same_steps(
    scale: float, tiny: type, ppgn: Callable, walk: Callable
) -> None:
    """What is published for fc6's codes holds of codes that are `scale` times as large."""
    plain = walk(ppgn(tiny(wide=True), steps=20, **LOUD), 20)[1]
    scaled = walk(ppgn(tiny(wide=True, code_scale=scale), steps=20, scale=scale, **LOUD), 20)[1]
    for ours, theirs in zip(scaled, plain, strict=True):
        torch.testing.assert_close(ours.codes / scale, theirs.codes, rtol=1e-9, atol=1e-11)
        assert torch.equal(ours.samples, theirs.samples)


def test_the_scale_is_that_of_the_code_s_bounds_if_it_has_any(tiny: type, ppgn: Callable) -> None:
    toy = tiny(wide=True)
    assert ppgn(toy).scale == 1
    assert ppgn(toy, toy.problem(code_bounds=(0.0, 3.75))).scale == 0.125
    assert ppgn(toy, toy.problem(code_bounds=(0.0, 3.75)), scale=2.0).scale == 2
    with pytest.raises(ConfigError, match="scale=0"):
        ppgn(toy, scale=0)


def test_a_direction_of_zeros_moves_nothing(tiny: type, ppgn: Callable, walk: Callable) -> None:
    """Where the original divides by 0 and stops."""
    method = ppgn(tiny(wide=True), epsilon1=0, epsilon2=0, epsilon3=0, starts="given")
    method.draw = lambda chain, attempt: tiny().draw(chain, attempt).abs()
    _, infos = walk(method, 3)
    assert torch.equal(infos[2].codes, infos[0].codes)


def test_without_a_fitting_encoder_it_says_what_to_do(tiny: type, ppgn: Callable) -> None:
    toy = tiny(wide=True)
    with pytest.raises(ConfigError, match=r"objective\.between=images"):
        ppgn(toy, toy.problem(objective="images"))
    problem = toy.problem()
    read = problem.read
    problem.read = lambda images: (read(images)[0][:, :3], read(images)[1])
    method = ppgn(toy, problem)
    with pytest.raises(ConfigError, match="encoder=own"):
        method.step(method.begin())
    method = ppgn(toy, problem, epsilon1=0)
    method.step(method.begin())


def test_every_unit_needs_its_layer(tiny: type) -> None:
    toy = tiny(wide=True)
    with pytest.raises(ConfigError, match="0 layers"):
        Ppgn(toy.problem(), toy.region, toy.draw, toy.references, PpgnSettings(), [])
