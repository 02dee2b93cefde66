"""The Vendi score, against the authors' printed numbers, closed cases and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from invset.metrics.vendi import POOLED, cosine_kernel, gaussian_kernel, pooled_bandwidth, vendi_score


def cosine_vendi(encodings: torch.Tensor) -> float:
    return vendi_score(cosine_kernel(encodings))


def gaussian_vendi(encodings: torch.Tensor, bandwidth: float) -> float:
    return vendi_score(gaussian_kernel(encodings, bandwidth))


def _points(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _brute(kernel: list[list[float]]) -> float:
    """exp of the entropy, as NumPy's general eigenvalues give it."""
    eigenvalues = np.linalg.eigvals(np.array(kernel) / len(kernel)).real
    return math.exp(-sum(e * math.log(e) for e in eigenvalues if e > 1e-300))


def _cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def test_the_authors_printed_numbers():
    """As vertaix/Vendi-Score:README.md prints them."""
    samples = torch.tensor([0.0, 0, 10, 10, 20, 20], dtype=torch.float64)
    kernel = (samples[:, None] - samples).abs().neg().exp()
    assert 2.9999 <= vendi_score(kernel) < 3  # printed cut off: 2.9999
    kernel = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert f"{vendi_score(kernel):.4f}" == "2.1573"


@pytest.mark.parametrize(("count", "size"), [(1, 4), (7, 3), (3, 7), (12, 12), (40, 5)])
def test_against_brute_force(count, size):
    points = _points(count, size, seed=count)
    rows = points.tolist()
    assert cosine_vendi(points) == pytest.approx(_brute([[_cosine(a, b) for b in rows] for a in rows]), rel=1e-11)
    gaussian = [[math.exp(-(math.dist(a, b) ** 2) / 2 / 1.7**2) for b in rows] for a in rows]
    assert gaussian_vendi(points, 1.7) == pytest.approx(_brute(gaussian), rel=1e-11)
    assert vendi_score(torch.tensor(gaussian, dtype=torch.float64)) == pytest.approx(_brute(gaussian), rel=1e-11)


@pytest.mark.parametrize("angle", [0.1, 1.0, 2.0, 3.0])
def test_two_samples_at_an_angle(angle):
    """The eigenvalues are (1 ± cos)/2, whichever the lengths; and (1 ± exp(−d²/2h²))/2."""
    points = torch.tensor([[5.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64)

    def closed(similarity: float) -> float:
        return math.exp(-sum(p * math.log(p) for p in ((1 + similarity) / 2, (1 - similarity) / 2)))

    assert cosine_vendi(points) == pytest.approx(closed(math.cos(angle)), rel=1e-12)
    line = torch.tensor([[0.0], [angle]], dtype=torch.float64)
    assert gaussian_vendi(line, 2.0) == pytest.approx(closed(math.exp(-(angle**2) / 8)), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_count_once(dtype):
    one = _points(1, 300).to(dtype)
    assert cosine_vendi(one.expand(50, -1)) == pytest.approx(1, abs=1e-10)
    assert gaussian_vendi(one.expand(50, -1), 1e-3) == pytest.approx(1, abs=1e-10)
    axes = torch.eye(9, 300, dtype=dtype) * 3
    assert cosine_vendi(axes) == pytest.approx(9, rel=1e-12)
    assert gaussian_vendi(axes, 0.01) == pytest.approx(9, rel=1e-12)
    assert cosine_vendi(axes.repeat(4, 1)) == pytest.approx(9, rel=1e-12)
    assert gaussian_vendi(axes.repeat(4, 1), 0.01) == pytest.approx(9, rel=1e-12)
    points = _points(9, 300).to(dtype)
    assert gaussian_vendi(points.repeat(4, 1), 10.0) == pytest.approx(gaussian_vendi(points, 10.0), rel=1e-11)
    assert cosine_vendi(points.repeat(4, 1)) == pytest.approx(cosine_vendi(points), rel=1e-11)


def test_unequal_shares_weigh_as_their_entropy():
    """Unlike ones that occur 3, 2 and 1 times: the exponential of the entropy of 1/2, 1/3, 1/6."""
    points = torch.eye(3).repeat_interleave(torch.tensor([3, 2, 1]), dim=0)
    expected = math.exp(-sum(p * math.log(p) for p in (1 / 2, 1 / 3, 1 / 6)))
    assert cosine_vendi(points) == pytest.approx(expected, rel=1e-12)
    assert gaussian_vendi(points, 1e-3) == pytest.approx(expected, rel=1e-12)


def test_float32_encodings_are_measured_in_float64():
    points = _points(30, 50).float()
    assert gaussian_vendi(points, 4.0) == gaussian_vendi(points.double(), 4.0)
    assert cosine_vendi(points) == cosine_vendi(points.double())


def test_order_scale_and_rotation_do_not_matter():
    points = _points(20, 6)
    shuffled = points[torch.randperm(20, generator=torch.Generator().manual_seed(1))]
    rotation = torch.linalg.qr(_points(6, 6, seed=2)).Q
    for same in (shuffled, points @ rotation):
        assert cosine_vendi(same) == pytest.approx(cosine_vendi(points), rel=1e-11)
        assert gaussian_vendi(same, 2.0) == pytest.approx(gaussian_vendi(points, 2.0), rel=1e-11)
    lengths = torch.linspace(0.1, 9, 20, dtype=torch.float64)[:, None]
    assert cosine_vendi(points * lengths) == pytest.approx(cosine_vendi(points), rel=1e-11)
    assert gaussian_vendi(points * 8, 16.0) == gaussian_vendi(points, 2.0)
    assert gaussian_vendi(points + 100, 2.0) == pytest.approx(gaussian_vendi(points, 2.0), rel=1e-11)


def test_a_narrower_kernel_tells_more_apart_between_the_limits():
    """A product with another kernel majorises the eigenvalues, so the score falls with the bandwidth."""
    points = _points(10, 4)
    points = torch.cat([points, points[:1].expand(3, -1)])
    scores = [gaussian_vendi(points, h) for h in (0.0, 1e-3, 0.3, 1.0, 3.0, 100.0, math.inf)]
    assert scores == sorted(scores, reverse=True)
    shares = [1 / 13] * 9 + [4 / 13]  # the first of the ten is the one that is repeated
    assert scores[0] == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-12)
    assert scores[-1] == pytest.approx(1, abs=1e-10)


def test_the_bandwidth_is_half_the_median_distance_of_all_sets_together():
    assert pooled_bandwidth([torch.tensor([[0.0]]), torch.tensor([[1.0], [3.0]]), torch.zeros(0, 1)]) == 1  # 1, 2, 3
    assert math.isnan(pooled_bandwidth([torch.zeros(1, 3)]))
    assert math.isnan(pooled_bandwidth([]))
    line = torch.arange(5.0 * POOLED)[:, None]
    assert pooled_bandwidth([line]) == pytest.approx(pooled_bandwidth([line[::5]]), rel=1e-2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan(bad):
    points = _points(5, 3)
    points[2, 1] = bad
    assert math.isnan(cosine_vendi(points))
    assert math.isnan(gaussian_vendi(points, 1.0))
    assert math.isnan(gaussian_vendi(_points(5, 3), math.nan))
    assert math.isnan(cosine_vendi(torch.eye(3) * torch.tensor([1.0, 1.0, 0.0])))  # a zero has no direction
    for empty in (torch.zeros(0, 3), torch.zeros(0, 0)):
        assert math.isnan(cosine_vendi(empty))
        assert math.isnan(gaussian_vendi(empty, 1.0))
    assert math.isnan(vendi_score(torch.zeros(0, 0)))
