"""Ascent on pixels, on units that are linear in them: every gradient is known."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from invset.baselines import image_terms as terms
from invset.baselines.pixel_ascent import PixelAscent, PixelAscentSettings
from invset.errors import ConfigError
from tests.makers import pixel_ascent
from tests.toys import PIXEL_SHAPE as SHAPE
from tests.toys import Flat, walk


@pytest.mark.parametrize("p", [1, 2])
def test_with_all_terms_off_it_is_plain_ascent(p: int) -> None:
    """x ← clip(x + step · g / mean|g|, 0, 1) with g the sum of the units' weights (Erhan et al. 2009)."""
    toy = Flat(ranges=((0.0, 1.0),) * p)
    _, taken = walk(pixel_ascent(toy, step=0.02, end_step=0.01, steps=10), 10)
    g = toy.V.sum(dim=0)
    x = torch.stack([toy.draw(chain, 0) for chain in range(3)])
    for i, step in enumerate(taken):
        torch.testing.assert_close(step.codes, x)
        x = (x + (0.02 - 0.01 * i / 10) * g / g.abs().mean()).clamp(0, 1)


def test_unnormalised_it_takes_the_gradient_as_it_is() -> None:
    toy = Flat()
    _, taken = walk(pixel_ascent(toy, step=0.01, normalise=False), 2)
    torch.testing.assert_close(taken[1].codes, (taken[0].codes + 0.01 * toy.V[0]).clamp(0, 1))


@pytest.mark.parametrize("settings", [
    {"decay": 0.2, "grey": 0.3},
    {"blur_radius": 1.0, "blur_every": 2},
    {"small_norm": 40.0},
    {"small_contribution": 40.0},
    {"total_variation": 0.5, "beta": 1.5},
    {"margin": 0.25},
    {"decay": 0.1, "blur_radius": 0.5, "small_norm": 9.0, "small_contribution": 9.0, "total_variation": 0.5,
     "margin": 0.2},
], ids=lambda s: "+".join(s))  # fmt: skip
def test_each_term_changes_the_step_as_it_says(settings: dict) -> None:
    """In the order of the module's docstring, written out again; blur at the first step and the third."""
    toy = Flat()
    s = PixelAscentSettings(step=0.02, **settings)
    _, taken = walk(pixel_ascent(toy, step=0.02, **settings), 4)
    x = torch.stack([toy.draw(chain, 0) for chain in range(3)]).view(3, *SHAPE)
    g = toy.V.view(1, *SHAPE).expand(3, -1, -1, -1)
    plain = x.flatten(1)
    for i, step in enumerate(taken):
        torch.testing.assert_close(step.codes, x.flatten(1))
        d = g
        if s.total_variation:
            d = d - s.total_variation * terms.total_variation_gradient(x, s.beta)
        if s.margin:
            d = d * terms.centre_mask(x, s.margin)
        x = x + 0.02 * d / d.abs().mean(dim=(1, 2, 3), keepdim=True)
        if s.decay:
            x = terms.decayed(x, s.decay, s.grey)
        if s.blur_radius and i % s.blur_every == 0:
            x = terms.blurred(x, s.blur_radius)
        if s.small_norm:
            x = terms.without_small_norms(x, s.small_norm, s.grey)
        if s.small_contribution:
            x = terms.without_small_contributions(x, g, s.small_contribution, s.grey)
        x = x.clamp(0, 1)
        plain = (plain + 0.02 * toy.V / toy.V.abs().mean()).clamp(0, 1)
    assert not torch.allclose(taken[-1].codes, plain)


def test_jitter_takes_the_gradient_at_a_shifted_image() -> None:
    """Of f = Σ w x², shifted back, 2 x and w the other way; the image reported is the one that is not shifted."""
    toy = Flat()
    toy.read = lambda images: (images.flatten(1)[:, :4], images.flatten(1).square() @ toy.V.T)  # type: ignore
    _, taken = walk(pixel_ascent(toy, step=1e-4, jitter=1, steps=40), 40)
    weights = toy.V.view(SHAPE)
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    chosen = []
    for before, after in pairwise(taken):
        torch.testing.assert_close(before.evaluation.images.flatten(1), before.codes)
        for chain in range(3):
            x = before.codes[chain].view(SHAPE)
            gradients = [torch.roll(weights, shift, (-2, -1)) * x for shift in shifts]
            expected = [(x + 1e-4 * g / g.abs().mean()).clamp(0, 1) for g in gradients]
            fits = [torch.allclose(after.codes[chain].view(SHAPE), e, rtol=0, atol=1e-12) for e in expected]
            assert sum(fits) == 1
            chosen.append(fits.index(True))
    assert set(chosen) == set(range(9))
    assert any(len(set(chosen[i : i + 3])) == 3 for i in range(0, len(chosen), 3)), "each chain its own"


def test_codes_that_are_no_images_are_refused() -> None:
    toy = Flat()
    with pytest.raises(ConfigError, match="codes that are the images themselves"):
        PixelAscent(toy.problem(), toy.region, toy.draw, toy.references, PixelAscentSettings(), (3, 4, 4))
