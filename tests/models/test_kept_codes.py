"""Codes of a folder's images are the encoder's, encoded once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from invset.models.kept_codes import encode_once

IMAGES = torch.rand(10, 3, 2, 2, generator=torch.Generator().manual_seed(0))


class Counting:
    """E(x) = factor · x, which counts its batches."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor, self.batches = factor, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.batches += 1
        return self.factor * images.flatten(1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setenv("INVSET_CACHE", str(tmp_path / "cache"))
    for name in "ab":
        (tmp_path / name).write_text(name)
    return [tmp_path / "a", tmp_path / "b"]


def encode(files: list[Path], encoder: Counting) -> int:
    """How many batches of five are encoded."""
    codes = encode_once(files, iter(IMAGES.split(2)), encoder)
    assert torch.equal(codes, encoder.factor * IMAGES.flatten(1))
    return encoder.batches


def test_images_are_encoded_once_but_for_a_batch(files: list[Path]) -> None:
    assert [encode(files, Counting()) for _ in range(3)] == [5, 1, 1]


def test_another_encoder_or_image_is_noticed(files: list[Path]) -> None:
    assert encode(files, Counting()) == 5
    assert encode(files, Counting(3.0)) == 5
    files[1].write_text("changed")
    assert encode(files, Counting()) == 5
    assert encode(files[:1], Counting()) == 5


def test_a_damaged_file_is_written_again(files: list[Path]) -> None:
    encode(files, Counting())
    (kept,) = (files[0].parent / "cache" / "codes").iterdir()
    kept.write_bytes(kept.read_bytes()[:-8])
    assert [encode(files, Counting()) for _ in range(2)] == [5, 1]


def test_without_a_place_to_write_it_encodes_each_time(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVSET_CACHE", str(files[0]))
    assert [encode(files, Counting()) for _ in range(2)] == [5, 5]
