"""Measures of scripts/natural.py that are not the package's."""

from __future__ import annotations

import pytest
import torch

import natural
from invset.errors import ConfigError


def test_density_and_coverage_by_hand() -> None:
    """On a line at 0 … 9, the fifth neighbour of the ends is 5 away, of the middle 3."""
    real = torch.arange(10.0)[:, None]
    radii = sorted((real - real.T).abs().tolist()[5])[5]
    assert radii == 3
    density, coverage = natural.density_and_coverage(real, torch.tensor([[4.5], [100.0]]))
    near = sum(abs(4.5 - i) <= sorted(abs(i - j) for j in range(10))[5] for i in range(10))
    assert density == pytest.approx(near / (5 * 2))
    assert coverage == pytest.approx(near / 10)
    assert natural.density_and_coverage(real, real + 1000) == (0.0, 0.0)


def test_alike_sets_have_about_one() -> None:
    points = torch.randn(2, 400, 3, generator=torch.Generator().manual_seed(0))
    density, coverage = natural.density_and_coverage(*points)
    assert density == pytest.approx(1, abs=0.1)
    assert coverage > 0.93  # 1 - 2^-5 in expectation


def test_settings() -> None:
    settings = natural.read_settings(["data=x", "n=20", "sample.starts=mixed", "sample.schedule.K=5"])
    assert (settings.data, settings.n) == ("x", 20)
    assert settings.sample == {"starts": "mixed", "schedule": {"K": 5}}
    for wrong in (["n=20"], ["data=x", "m=3"], ["data=x", "n=many"]):
        with pytest.raises(ConfigError):
            natural.read_settings(wrong)
