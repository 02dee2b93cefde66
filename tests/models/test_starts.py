from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from invset.core.randomness import seeded_generator
from invset.errors import ConfigError
from invset.models.image_folder import ImageFolder
from invset.models.network import CodeStatistics, Generator, Network
from invset.models.pixels import pixel_generator
from invset.models.reader import Encoder
from invset.models.starts import Starts

BOUNDS = (-1.0, 1.5)


def generator(bank: int | None = 40, bounds: tuple[float, float] | None = None) -> Generator:
    """Codes of 8 numbers, as the toy's fc gives; None: without statistics."""
    randomness = torch.Generator().manual_seed(5)
    statistics = None
    if bank is not None:
        codes = torch.randn(bank, 8, generator=randomness)
        statistics = CodeStatistics(torch.arange(8) / 8, 0.1 + torch.arange(8) / 4, codes)
    return Generator("decoder", nn.Linear(8, 72), 8, (3, 6, 4), statistics, bounds)


@pytest.fixture
def encoder(toy: Network) -> Encoder:
    toy.module.float()
    return Encoder(toy, "fc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        data = bytes(torch.randint(256, (72,), generator=torch.Generator().manual_seed(i)).tolist())
        Image.frombytes("RGB", (4, 6), data).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_text("not an image")
    return tmp_path


def starts_of_each_kind(encoder: Encoder, folder: Path, random_seed: int = 3) -> list[Starts]:
    kinds: list[tuple[Any, Path | None]] = [
        ("random_images", None),
        ("normal", None),
        ("codes", None),
        ("codes", folder),
        ("common", None),
    ]
    return [Starts(kind, random_seed, 4, generator(), encoder, where) for kind, where in kinds]


def test_a_draw_depends_on_seed_chain_and_attempt_alone(encoder: Encoder, folder: Path) -> None:
    all_starts = starts_of_each_kind(encoder, folder)
    all_again = starts_of_each_kind(encoder, folder)
    all_other = starts_of_each_kind(encoder, folder, random_seed=0)
    before = torch.get_rng_state()
    for starts, again, other in zip(all_starts, all_again, all_other, strict=True):
        forwards = [starts.draw(chain) for chain in range(4)]
        retry = starts.draw(2, attempt=1)
        backwards = [again.draw(chain) for chain in reversed(range(4))][::-1]
        assert torch.equal(torch.stack(forwards), torch.stack(backwards))
        assert torch.equal(retry, again.draw(2, attempt=1))
        assert not torch.equal(retry, forwards[2])
        assert not torch.equal(torch.stack([other.draw(chain) for chain in range(4)]), torch.stack(forwards))
        assert len({tuple(code.tolist()) for code in forwards}) == 4
        for code in forwards:
            assert (code.shape, code.dtype, code.device.type) == ((8,), torch.float32, "cpu")
            assert not code.requires_grad
    assert torch.equal(before, torch.get_rng_state())


def test_random_images_are_encoded_uniform_noise(encoder: Encoder) -> None:
    starts = Starts("random_images", 0, 200, generator(None), encoder)
    codes = torch.stack([starts.draw(chain) for chain in range(200)])
    noise = torch.rand(4000, 3, 6, 4, generator=torch.Generator().manual_seed(9))
    expected = encoder(noise)
    error = expected.std(dim=0) / 200**0.5
    assert ((codes.mean(dim=0) - expected.mean(dim=0)).abs() < 4.5 * error).all()
    torch.testing.assert_close(codes.std(dim=0), expected.std(dim=0), rtol=0.25, atol=0)


def test_normal_codes_have_the_moments_of_real_ones() -> None:
    decoder = generator()
    assert decoder.statistics is not None
    starts = Starts("normal", 0, 1, decoder)
    codes = torch.stack([starts.draw(chain) for chain in range(3000)])
    mean, deviation = decoder.statistics.mean, decoder.statistics.deviation
    assert ((codes.mean(dim=0) - mean).abs() < 4.5 * deviation / 3000**0.5).all()
    torch.testing.assert_close(codes.std(dim=0), deviation, rtol=0.07, atol=0)
    bounded = Starts("normal", 0, 1, generator(bounds=BOUNDS))
    clamped = torch.stack([bounded.draw(chain) for chain in range(50)])
    assert torch.equal(clamped, codes[:50].clamp(*BOUNDS))
    assert clamped.min() == -1
    assert clamped.max() == 1.5


def row_of(code: Tensor, table: Tensor) -> int:
    (row,) = (table == code).all(dim=1).nonzero().flatten().tolist()
    return int(row)


def test_natural_codes_are_drawn_without_replacement_and_go_round() -> None:
    decoder = generator(bank=10)
    assert decoder.statistics is not None
    starts = Starts("codes", 0, 4, decoder)
    rows = [row_of(starts.draw(chain, attempt), decoder.statistics.bank) for attempt in range(5) for chain in range(4)]
    assert sorted(rows[:10]) == list(range(10))
    assert rows[:10] != list(range(10))
    assert rows[10:] == rows[:10]
    for attempt in range(5):
        assert len(set(rows[4 * attempt : 4 * attempt + 4])) == 4


def test_codes_of_a_folder_are_its_encoded_images(encoder: Encoder, folder: Path) -> None:
    starts = Starts("codes", 0, 4, generator(None), encoder, folder)
    files = ImageFolder(folder, (6, 4))
    encoded = torch.cat([encoder(files.read(folder / f"{i}.png")[None]) for i in range(6)])
    rows = [row_of(starts.draw(chain, attempt), encoded) for attempt in range(3) for chain in range(4)]
    assert sorted(rows[:6]) == list(range(6))
    assert rows[6:] == rows[:6]


def test_folders_with_too_few_images(encoder: Encoder, folder: Path) -> None:
    with pytest.raises(ConfigError, match="holds 7 images, too few for 8 chains"):
        Starts("codes", 0, 8, generator(None), encoder, folder)


def test_common_starts_are_one_code_moved_a_little_towards_each_chains_own(encoder: Encoder) -> None:
    for made, other in ((generator(bounds=BOUNDS), "normal"), (generator(None), "random_images")):
        common, own = Starts("common", 0, 5, made, encoder), Starts(other, 0, 5, made, encoder)
        starts, single = (torch.stack([one.draw(chain) for chain in range(5)]) for one in (common, own))
        shared = (starts - 0.001 * single) / 0.999
        torch.testing.assert_close(shared, shared[:1].expand(5, -1), atol=1e-5, rtol=0)
        assert not torch.equal(common.draw(0), common.draw(0, attempt=1))


def test_pixels_start_at_images(toy: Network, folder: Path) -> None:
    pixels = pixel_generator((3, 6, 4))
    noise = Starts("random_images", 0, 3, pixels, Encoder(toy, "fc"))
    codes = torch.stack([noise.draw(chain) for chain in range(100)])
    assert codes.shape == (100, 72)
    assert codes.min() >= 0
    assert codes.max() <= 1
    assert codes.mean().item() == pytest.approx(0.5, abs=0.02)
    image = Starts("codes", 0, 3, pixels, None, folder).draw(0).view(3, 6, 4)
    (images,) = ImageFolder(folder, (6, 4)).batches(6)
    assert (image == images).flatten(1).all(1).any()
    assert Starts("normal", 0, 3, pixels).draw(0).max() <= 1


def test_reference_codes(encoder: Encoder, folder: Path) -> None:
    banked = generator(bank=10)
    assert banked.statistics is not None
    bank = banked.statistics.bank
    rows = [row_of(code, bank) for code in Starts("normal", 0, 1, banked).reference_codes(12)]
    assert sorted(rows[:10]) == list(range(10))
    assert rows[10:] == rows[:2]

    noise = Starts("normal", 0, 1, pixel_generator((3, 6, 4))).reference_codes(60)
    assert noise.shape == (60, 72)
    assert noise.std().item() == pytest.approx(12**-0.5, abs=0.01)

    bankless = Starts("random_images", 0, 2, generator(bank=0), encoder).reference_codes(500)
    torch.testing.assert_close(bankless.mean(dim=0), torch.arange(8) / 8, rtol=0, atol=0.4)

    encoded = Starts("random_images", 0, 2, generator(None), encoder)
    references = encoded.reference_codes(5)
    assert references.shape == (5, 8)
    assert len({tuple(code.tolist()) for code in references}) == 5
    assert torch.equal(references, encoded.reference_codes(5))

    assert Starts("codes", 0, 2, generator(None), encoder, folder).reference_codes(9).shape == (9, 8)


def test_what_a_generator_cannot_give_is_said(encoder: Encoder, toy: Network, folder: Path) -> None:
    bare = generator(None)
    with pytest.raises(ConfigError, match="starts of kind 'normal' need the mean and deviation"):
        Starts("normal", 0, 2, bare)
    with pytest.raises(ConfigError, match="starts of kind 'common' are encoded images"):
        Starts("common", 0, 2, bare)
    with pytest.raises(ConfigError, match="generator decoder carries none"):
        Starts("codes", 0, 2, bare)
    with pytest.raises(ConfigError, match="carries 3 natural codes, too few for 4 chains"):
        Starts("codes", 0, 4, generator(bank=3))
    for kind, where in (("random_images", None), ("codes", folder)):
        with pytest.raises(ConfigError, match="encoder conv gives 96 numbers, and generator decoder takes 8"):
            Starts(kind, 0, 2, bare, Encoder(toy, "conv"), where)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the images themselves gives 72 numbers"):
        Starts("random_images", 0, 2, bare)
    with pytest.raises(ConfigError, match="no start 'norml': did you mean normal"):
        Starts("norml", 0, 2, bare)  # type: ignore[arg-type]


def test_seeds_near_each_other_are_unrelated() -> None:
    draws = torch.stack([torch.rand(500, generator=seeded_generator(0, chain)) for chain in range(20)])
    correlations = torch.corrcoef(draws) - torch.eye(20)
    assert correlations.abs().max() < 0.25
    first, again = (torch.rand(3, generator=seeded_generator(1, 23)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, torch.rand(3, generator=seeded_generator(12, 3)))
