"""Each term against another's program, an independent definition, or its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from invset.baselines import image_terms as terms


def images(k: int = 3, h: int = 7, w: int = 9) -> Tensor:
    return torch.rand(k, 3, h, w, generator=torch.Generator().manual_seed(k), dtype=torch.float64)


@pytest.mark.parametrize("radius", [0.1, 0.5, 1.0, 3.7])
def test_blur_is_scipys(radius: float) -> None:
    """`gaussian_filter` with its own settings, as Yosinski's program calls it, channel by channel."""
    x = images()
    expected = [[gaussian_filter(channel, radius) for channel in image] for image in x.numpy()]
    np.testing.assert_allclose(terms.blurred(x, radius), expected, rtol=1e-12, atol=1e-12)


def test_decay_is_a_step_down_the_square_of_the_distance_from_grey() -> None:
    x = images().requires_grad_(True)
    weight, step = 0.3, 0.1
    (gradient,) = torch.autograd.grad(weight * (x - 0.4).square().sum(), x)
    torch.testing.assert_close(terms.decayed(x, 2 * weight * step, 0.4), x - step * gradient)


@pytest.mark.parametrize("percentile", [20.0, 50.0, 90.0])
def test_small_norms_and_contributions_by_numpys_percentile(percentile: float) -> None:
    x, g, grey = images(), images(2, 7, 9)[:1].expand(3, -1, -1, -1) - 0.5, 0.4
    norms, contributions = x.numpy().copy(), x.numpy().copy()
    for i, image in enumerate(x.numpy()):
        for size, result in (
            (np.linalg.norm(image - grey, axis=0), norms),
            (np.abs((g[i].numpy() * -(image - grey)).sum(axis=0)), contributions),
        ):
            result[i][:, size < np.percentile(size, percentile)] = grey
    np.testing.assert_array_equal(terms.without_small_norms(x, percentile, grey), norms)
    np.testing.assert_array_equal(terms.without_small_contributions(x, g, percentile, grey), contributions)
    assert abs(float((norms == grey).mean()) - percentile / 100) < 0.02


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_total_variation_by_autograd(beta: float) -> None:
    """Each pixel against its right and lower neighbour, at the edge against itself, summed in a loop."""
    x = images(1, 4, 5).requires_grad_(True)
    total = torch.zeros((), dtype=torch.float64)
    for c in range(3):
        for i in range(4):
            for j in range(5):
                right = x[0, c, i, min(j + 1, 4)] - x[0, c, i, j]
                down = x[0, c, min(i + 1, 3), j] - x[0, c, i, j]
                if (i, j) != (3, 4):
                    total = total + (right.square() + down.square()) ** (beta / 2)
    (expected,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(terms.total_variation_gradient(x.detach(), beta), expected)


def test_total_variation_of_a_flat_image_pulls_nowhere() -> None:
    assert torch.equal(terms.total_variation_gradient(torch.full((1, 3, 4, 4), 0.3), 1.0), torch.zeros(1, 3, 4, 4))


def test_the_mask_leaves_the_middle() -> None:
    mask = terms.centre_mask(torch.zeros(1, 3, 10, 20), 0.2)
    expected = np.zeros((10, 20))
    expected[2:8, 4:16] = 1
    np.testing.assert_array_equal(mask, expected)
    assert terms.centre_mask(torch.zeros(1, 3, 5, 5), 0.4999).sum() > 0


def test_a_shift_is_numpys_roll_and_is_undone() -> None:
    x, shifts = images(), [(1, -2), (0, 3), (-4, 0)]
    moved = terms.shifted(x, shifts)
    for image, result, (down, right) in zip(x.numpy(), moved.numpy(), shifts, strict=True):
        np.testing.assert_array_equal(result, np.roll(np.roll(image, right, -1), down, -2))
    assert torch.equal(terms.shifted(moved, [(-down, -right) for down, right in shifts]), x)
