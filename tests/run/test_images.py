"""PNG files hold exactly the image that the network saw."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from invset.core.problem import round_to_eight_bits
from invset.errors import RunFolderError
from invset.run.images import load_png, save_png


def test_what_is_read_is_what_the_network_saw(tmp_path):
    images = round_to_eight_bits(torch.rand(1, 3, 40, 64) * 1.4 - 0.2)
    save_png(tmp_path / "a.png", images[0])
    assert torch.equal(load_png(tmp_path / "a.png"), images[0])


def test_all_levels(tmp_path):
    levels = torch.arange(256).repeat(3).view(3, 16, 16)
    save_png(tmp_path / "a.png", levels / 255)
    with Image.open(tmp_path / "a.png") as picture:  # an independent reader of the bytes
        assert picture.mode == "RGB"
        assert picture.getpixel((3, 2)) == (35, 35, 35)
    assert torch.equal(load_png(tmp_path / "a.png"), levels.float() / 255)


def test_channels_rows_and_columns_keep_their_places(tmp_path):
    image = torch.zeros(3, 2, 3)
    image[0, 1, 2] = 1
    save_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3, 2)
        assert picture.getpixel((2, 1)) == (255, 0, 0)


def test_values_between_levels_are_rounded_and_outside_clamped(tmp_path):
    save_png(tmp_path / "a.png", torch.tensor([-3.0, 0.5, 7.0]).view(3, 1, 1))
    assert load_png(tmp_path / "a.png").flatten().tolist() == pytest.approx([0, 128 / 255, 1])


def test_same_image_same_bytes(tmp_path, picture):
    save_png(tmp_path / "a.png", picture)
    save_png(tmp_path / "b.png", picture.clone())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_errors(tmp_path, picture):
    with pytest.raises(ValueError, match=r"\(3, h, w\), not \(1, 3, 5, 7\)"):
        save_png(tmp_path / "a.png", picture[None])
    with pytest.raises(RunFolderError, match=r"gone/a\.png: cannot be written \(No such file"):
        save_png(tmp_path / "gone" / "a.png", picture)
    save_png(tmp_path / "a.png", picture)
    whole = (tmp_path / "a.png").read_bytes()
    for damaged in (b"", b"text", whole[:40], whole[:-30]):
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"a\.png: cannot be read as an image"):
            load_png(tmp_path / "a.png")
    with pytest.raises(RunFolderError, match=r"b\.png: cannot be read"):
        load_png(tmp_path / "b.png")
