"""PNG files hold exactly the image that the network saw."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from invset.core.problem import round_to_eight_bits
from invset.errors import RunFolderError
from invset.run.images import load_png, load_pngs, save_pngs


def test_what_is_read_is_what_the_network_saw(tmp_path):
    """Rounded, and clamped to [0, 1]; channels, rows and columns keep their places."""
    images = torch.rand(1, 3, 40, 64) * 1.4 - 0.2
    save_pngs([tmp_path / "a.png"], [images[0]])
    expected = round_to_eight_bits(images)[0]
    assert torch.equal(load_png(tmp_path / "a.png"), expected)
    with Image.open(tmp_path / "a.png") as picture:  # an independent reader of the bytes
        assert (picture.mode, picture.size) == ("RGB", (64, 40))
        assert picture.getpixel((3, 2)) == tuple((expected[:, 2, 3] * 255).round().int().tolist())


def test_all_levels(tmp_path):
    levels = torch.arange(256).repeat(3).view(3, 16, 16)
    save_pngs([tmp_path / "a.png"], [levels / 255])
    assert torch.equal(load_png(tmp_path / "a.png"), levels.float() / 255)


def test_errors(tmp_path, picture):
    with pytest.raises(ValueError, match=r"\(3, h, w\), not \(1, 3, 5, 7\)"):
        save_pngs([tmp_path / "a.png"], [picture[None]])
    with pytest.raises(RunFolderError, match=r"gone/a\.png: cannot be written \(No such file"):
        save_pngs([tmp_path / "gone" / "a.png"], [picture])
    save_pngs([tmp_path / "a.png"], [picture])
    whole = (tmp_path / "a.png").read_bytes()
    for damaged in (b"", b"text", whole[:40], whole[:-30]):
        (tmp_path / "a.png").write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"a\.png: (cannot be read|damaged)"):
            load_png(tmp_path / "a.png")
    with pytest.raises(RunFolderError, match=r"b\.png: cannot be read"):
        load_png(tmp_path / "b.png")


def test_several_at_once_are_the_files_of_one_by_one(tmp_path, monkeypatch):
    images = list(torch.rand(9, 3, 5, 7, generator=torch.Generator().manual_seed(2)))
    for number, image in enumerate(images):
        save_pngs([tmp_path / f"one-{number}.png"], [image])
    for threads in (1, 4):
        monkeypatch.setattr("invset.run.images.THREADS", threads)
        save_pngs([tmp_path / f"{threads}-{number}.png" for number in range(9)], images)
        for number in range(9):
            assert (tmp_path / f"{threads}-{number}.png").read_bytes() == (tmp_path / f"one-{number}.png").read_bytes()


def test_where_threads_cannot_be_started_the_files_are_the_same(tmp_path, monkeypatch, few_threads):
    monkeypatch.setattr("invset.run.images.THREADS", 4)
    images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    save_pngs(paths, list(images))
    assert torch.equal(load_pngs(paths), round_to_eight_bits(images))


def test_files_are_written_in_order_and_none_after_one_that_fails(tmp_path):
    paths = [tmp_path / name for name in ("a.png", "b.png", "missing/c.png", "d.png")]
    with pytest.raises(RunFolderError, match=r"c\.png"):
        save_pngs(paths, [torch.zeros(3, 2, 2)] * 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
