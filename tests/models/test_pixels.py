import torch

from invset.models.pixels import pixel_generator


def test_the_code_is_the_image() -> None:
    generator = pixel_generator((3, 5, 4))
    codes = torch.rand(2, 60)
    images = generator.module(codes)
    assert images.shape == (2, *generator.image_shape)
    assert torch.equal(images.flatten(1), codes)
    assert (generator.code_size, generator.code_bounds) == (60, (0.0, 1.0))


def test_statistics_are_those_of_uniform_noise() -> None:
    statistics = pixel_generator((3, 2, 2)).statistics
    assert statistics is not None
    noise = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(statistics.mean, noise.mean().expand(12), rtol=0, atol=2e-3)
    torch.testing.assert_close(statistics.deviation, noise.std().expand(12), rtol=0, atol=2e-3)
    assert statistics.bank.shape == (0, 12)
