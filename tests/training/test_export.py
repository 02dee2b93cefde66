"""Exported weights are the trained ones, and figures of a generator are what they say."""

import pytest
import torch

from invset.errors import WeightsError
from invset.models.labels import class_folders
from invset.models.mini import (
    DATA,
    Dimensions,
    MiniGenerator,
    MiniNetwork,
    load_code_statistics,
    load_generator,
    load_network,
    mini_generator,
    mini_network,
)
from training.data import load_images
from training.evaluate import encode, reconstruction
from training.export import LOGIT_SCALE, export_generator, export_network
from training.folding import fold


@pytest.mark.parametrize("dimensions", [Dimensions(), Dimensions(32, 0.5, 24)])
def test_export(folder, dimensions, tmp_path):
    images = load_images(folder, ("blues", "reds"), size=dimensions.size)
    network, generator = MiniNetwork(2, True, dimensions).eval(), MiniGenerator(True, dimensions).eval()
    export_network(network, ("blues", "reds"), tmp_path)
    loaded = load_network(tmp_path / "network.safetensors")
    export_generator(generator, loaded, images, tmp_path, bank=7, seed=0)
    assert class_folders(tmp_path / "classes.txt") == ("blues", "reds")

    x, code = torch.rand(2, *images.images.shape[1:]), torch.rand(2, dimensions.code)
    assert loaded.dimensions == dimensions
    assert mini_network(tmp_path / "network.safetensors").logit_scales == {"fc8": LOGIT_SCALE}
    torch.testing.assert_close(loaded(x), LOGIT_SCALE * network(x), rtol=0.02, atol=0.02)
    written = load_generator(tmp_path / "generator.safetensors")
    assert written.dimensions == dimensions
    torch.testing.assert_close(written(code), generator(code), rtol=0, atol=0.01)
    statistics = load_code_statistics(tmp_path / "generator.safetensors")
    codes = encode(loaded, images.images)
    torch.testing.assert_close(statistics.mean, codes.mean(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(statistics.deviation, codes.std(0), rtol=1e-3, atol=1e-3)
    assert torch.cdist(statistics.bank, codes).argmin(1).unique().numel() == len(codes)
    natural = mini_generator(tmp_path / "generator.safetensors").natural()
    assert torch.cdist(natural, codes).argmin(1).unique().numel() == len(natural) == 7
    (tmp_path / "codes.safetensors").write_bytes((DATA / "codes.safetensors").read_bytes())
    if dimensions.code != 512:
        with pytest.raises(WeightsError, match="holds no natural codes of 24 numbers"):
            mini_generator(tmp_path / "generator.safetensors").natural()


def test_reconstruction_of_a_perfect_generator(images, small):
    """With G(c) the image itself, the code error is 0 and the PSNR that of the error put in: 0.1 is 20 dB."""
    network = fold(MiniNetwork(2, True, small))
    exact = [image.float() / 255 for image in images.images]
    generator = MiniGenerator(False, small).eval()
    generator.forward = lambda codes: torch.stack(exact)
    codes = encode(network, images.images)
    assert reconstruction(generator, network, images, codes)[0]["code_error"] < 1e-10
    generator.forward = lambda codes: torch.stack(exact) + 0.1
    assert reconstruction(generator, network, images, codes)[0]["psnr"] == pytest.approx(20, abs=1e-3)
