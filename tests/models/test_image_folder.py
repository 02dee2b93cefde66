from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from invset.errors import ConfigError
from invset.models.image_folder import ImageFolder, read_image


def save(path: Path, pixels: Tensor, **options: object) -> None:
    """Pixels (h, w, 3 or 4), 0-255, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = bytes(pixels.to(torch.uint8).flatten().tolist())
    mode = {3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    Image.frombytes(mode, (pixels.shape[1], pixels.shape[0]), data).save(path, **options)  # type: ignore[arg-type]


def noise(h: int, w: int) -> Tensor:
    return torch.randint(256, (h, w, 3), generator=torch.Generator().manual_seed(h * 100 + w))


@pytest.mark.parametrize(("name", "options"), [("a.png", {}), ("a.bmp", {}), ("a.webp", {"lossless": True})])
def test_pixels_of_a_lossless_file_of_the_right_size_are_kept(
    tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    pixels = noise(5, 4)
    save(tmp_path / name, pixels, **options)
    image = read_image(tmp_path / name, (5, 4))
    assert image.dtype == torch.float32
    assert torch.equal(image, pixels.permute(2, 0, 1).float() / 255)


def test_the_middle_is_kept_and_resized(tmp_path: Path) -> None:
    pixels = torch.zeros(4, 12, 3)  # the middle third is white with a red right half
    pixels[:, 4:6] = 255
    pixels[:, 6:8, 0] = 255
    save(tmp_path / "wide.png", pixels)
    image = read_image(tmp_path / "wide.png", (4, 4))
    assert torch.equal(image, pixels[:, 4:8].permute(2, 0, 1) / 255)
    large = noise(24, 72)
    save(tmp_path / "large.png", large)
    whole = F.interpolate(large.permute(2, 0, 1)[None].float() / 255, (8, 24), mode="bilinear", antialias=True)
    image = read_image(tmp_path / "large.png", (8, 8))
    torch.testing.assert_close(image, whole[0, :, :, 8:16], rtol=0, atol=1.01 / 255)


def test_transparent_pixels_are_white_and_exif_is_followed(tmp_path: Path) -> None:
    pixels = torch.zeros(2, 2, 4)
    pixels[0, 0, 3] = 255
    save(tmp_path / "alpha.png", pixels)
    assert read_image(tmp_path / "alpha.png", (2, 2))[0].tolist() == [[0, 1], [1, 1]]
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    turned = noise(3, 3)
    save(tmp_path / "turned.png", turned, exif=exif)
    image = read_image(tmp_path / "turned.png", (3, 3))
    assert torch.equal(image, torch.rot90(turned, -1, (0, 1)).permute(2, 0, 1).float() / 255)


def test_grey_and_palette_files_are_made_rgb(tmp_path: Path) -> None:
    Image.new("L", (2, 2), 51).save(tmp_path / "grey.png")
    Image.new("P", (2, 2), 0).save(tmp_path / "palette.png", transparency=b"\xff")
    assert read_image(tmp_path / "grey.png", (2, 2)).flatten().tolist() == pytest.approx([0.2] * 12)
    assert read_image(tmp_path / "palette.png", (2, 2)).flatten().tolist() == [0] * 12


def test_a_folder_is_read_in_order_and_in_batches(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/z.jpg", "a/y.jpeg", "c.webp", "d.bmp"):
        save(tmp_path / name, noise(4, 6))
    (tmp_path / "notes.txt").write_text("no image")
    folder = ImageFolder(tmp_path, (3, 3))
    names = [str(path.relative_to(tmp_path)) for path in folder.files]
    assert names == ["a/y.jpeg", "a/z.jpg", "b.PNG", "c.webp", "d.bmp"]
    batches = list(folder.batches(2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    images = torch.cat(batches)
    assert images.shape == (5, 3, 3, 3)
    assert torch.equal(images[2], read_image(tmp_path / "b.PNG", (3, 3)))


def test_unreadable_files_are_left_out(tmp_path: Path) -> None:
    save(tmp_path / "good.png", noise(40, 40))
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.webp").write_bytes(b"")
    Image.new("I;16", (3, 3)).save(tmp_path / "deep.png")
    folder = ImageFolder(tmp_path, (4, 4))
    for _ in range(2):  # each is counted once
        (batch,) = folder.batches(8)
    assert torch.equal(batch[0], read_image(tmp_path / "good.png", (4, 4)))
    assert len(batch) == 1


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        ImageFolder(tmp_path / "none", (4, 4))
    with pytest.raises(ConfigError, match="no image in this folder"):
        ImageFolder(tmp_path, (4, 4))
    (tmp_path / "text.jpg").write_text("not an image")
    with pytest.raises(ConfigError, match="none of its 1 images can be read"):
        list(ImageFolder(tmp_path, (4, 4)).batches(2))


def test_an_image_of_very_many_pixels_is_named(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(ConfigError, match=r"huge\.png: has more than 67 million pixels: make it smaller"):
        read_image(tmp_path / "huge.png", (4, 4))
