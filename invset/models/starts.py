"""Where chains start: codes drawn by kind, random seed, chain and attempt, and by nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from invset.core.randomness import seeded_generator
from invset.errors import ConfigError
from invset.models.image_folder import ImageFolder
from invset.models.kept_codes import encode_once
from invset.models.network import CodeStatistics, Generator
from invset.models.pixels import Pixels
from invset.models.reader import Encoder
from invset.names import hint

BATCH = 64  # images encoded at once
SHAKEN = 1e-3  # of the way to its own code

Kind = Literal["random_images", "normal", "codes", "near", "mixed", "common"]

MOST, BYTES = 20_000, 2**30  # of images of a folder whose codes are taken for `near`, drawn at random from more


class Starts:
    """The first code of each chain.

    Kinds: `random_images`, E of an image of uniform noise (the paper's; for pixels, that image itself);
    `normal`, a code with the mean and deviation of natural ones, per dimension, within the generator's bounds if
    it has any; `codes`, a natural code from the generator's bank, or E of an image of `folder` if one is given,
    no two chains the same; `near`, the same codes, to be chosen from by their activations (`core/near.py`); `mixed`,
    `normal` and `codes` in turn; `common`, for Fig. 8, one code for all chains, `normal` or else of a random image,
    each moved by a thousandth towards a code of its own: the sum of distances has no gradient where all are 0.

    Args:
        kind: as above.
        random_seed: an integer, 0 among them.
        chains: how many there are.
        generator: what the codes are for.
        encoder: E; None stands for the images themselves. `random_images`, and `codes` with a folder, need
            one that gives as many numbers as a code has; pixels do without.
        folder: of images, for `codes`, `near` and `mixed`.

    Raises:
        ConfigError: the generator or the encoder cannot give codes of that kind, or too few for the chains.
    """

    def __init__(
        self,
        kind: Kind,
        random_seed: int,
        chains: int,
        generator: Generator,
        encoder: Encoder | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if kind not in get_args(Kind):
            raise ConfigError(f"there is no start '{kind}': {hint(kind, get_args(Kind))}")
        self.kind = kind
        self.random_seed = random_seed
        self.chains = chains
        self.generator = generator
        self._pixels = isinstance(generator.module, Pixels)
        self.encoder = None if self._pixels else encoder
        self._gallery: _Gallery | None = None
        if kind in ("normal", "mixed"):
            self._statistics()
        if self._starts_at_noise() or (kind in ("codes", "near", "mixed") and folder is not None):
            self._require_fitting_encoder()
        if kind in ("codes", "near", "mixed"):
            if folder is None:
                self._require_enough(len(self._bank()), f"generator {generator.name} carries", "natural codes")
            else:
                images = ImageFolder(folder, self._noise_shape()[1:])
                self._gallery = _Gallery(images, seeded_generator(random_seed, "folder"))
                self._require_enough(len(images.files), f"{folder} holds", "images")

    def draw(self, chain: int, attempt: int = 0) -> Tensor:
        """The code (c,) at which a chain starts an attempt, float32, on the CPU wherever the models are.

        For `codes`, `near` and `mixed`, attempts go on through one permutation of all natural codes, and round again
        when it ends.
        """
        own = seeded_generator(self.random_seed, chain, attempt)
        number = chain + attempt * self.chains
        if self.kind in ("codes", "near"):
            return self._real(number)
        if self.kind == "mixed" and (chain + attempt) % 2:
            return self._real(number // 2)
        draw = self._random_image_code if self._starts_at_noise() else self._normal
        if self.kind == "common":
            shared = draw(seeded_generator(self.random_seed, "common", attempt))
            return shared.lerp(draw(own), SHAKEN)
        return draw(own)

    def natural_codes(self) -> Tensor:
        """Codes of real images (m, c), float32, on the CPU: E of the folder's, if one is given, or else the bank."""
        if self._gallery is None:
            return _cpu(self._bank() if self.generator.natural is None else self.generator.natural())
        images, encoder = self._gallery.images, self.encoder
        chosen = _permutation(len(images.files), seeded_generator("natural"))  # the same whatever the seed
        most = min(MOST, BYTES // (4 * self.generator.code_size))
        files = [images.files[i] for i in sorted(chosen[:most])]
        batches = images.batches(BATCH, files)
        if encoder is None:
            return torch.cat([batch.flatten(1) for batch in batches])
        with torch.no_grad():
            return encode_once(files, batches, lambda some: _cpu(encoder(some.to(encoder.network.device))))

    def reference_codes(self, count: int) -> Tensor:
        """Unrelated codes (count, c), float32, on the CPU: what distances and sizes are compared with.

        From the bank (round again beyond its end); without one uniform for pixels, else `normal`; without
        statistics, starts of this kind.
        """
        statistics = self.generator.statistics
        if statistics is not None and len(statistics.bank):
            order = _permutation(len(statistics.bank), seeded_generator(self.random_seed, "reference"))
            return torch.stack([_cpu(statistics.bank[order[i % len(order)]]) for i in range(count)])
        own = [seeded_generator(self.random_seed, "reference", i) for i in range(count)]
        if self._pixels:
            return torch.stack([torch.rand(self.generator.code_size, generator=g) for g in own])
        if statistics is not None:
            return torch.stack([self._normal(g) for g in own])
        if self._gallery is not None:
            return torch.stack([self._real(i) for i in range(count)])
        return torch.stack([self._random_image_code(g) for g in own])

    def _starts_at_noise(self) -> bool:
        return self.kind == "random_images" or (self.kind == "common" and self.generator.statistics is None)

    def _random_image_code(self, randomness: torch.Generator) -> Tensor:
        return self._encode(torch.rand(self._noise_shape(), generator=randomness))

    def _normal(self, randomness: torch.Generator) -> Tensor:
        statistics = self._statistics()
        mean, deviation = _cpu(statistics.mean), _cpu(statistics.deviation)
        code = mean + deviation * torch.randn(mean.shape, generator=randomness)
        bounds = self.generator.code_bounds
        return code if bounds is None else code.clamp(*bounds)

    def _real(self, index: int) -> Tensor:
        if self._gallery is None:
            bank = self._bank()
            order = _permutation(len(bank), seeded_generator(self.random_seed, "bank"))
            return _cpu(bank[order[index % len(order)]])
        return self._encode(self._gallery.get(index))

    def _encode(self, image: Tensor) -> Tensor:
        if self.encoder is None:
            return image.flatten()
        with torch.no_grad():  # one image at a time: a batch could round differently
            return _cpu(self.encoder(image[None].to(self.encoder.network.device))[0])

    def _noise_shape(self) -> tuple[int, int, int]:
        return self.generator.image_shape if self.encoder is None else self.encoder.network.input_shape

    def _statistics(self) -> CodeStatistics:
        if self.generator.statistics is None:
            raise ConfigError(
                f"starts of kind '{self.kind}' need the mean and deviation of natural codes, which generator "
                f"{self.generator.name} does not carry; 'random_images' needs none."
            )
        return self.generator.statistics

    def _bank(self) -> Tensor:
        statistics = self.generator.statistics
        if statistics is None or not len(statistics.bank):
            raise ConfigError(
                f"starts of kind '{self.kind}' need natural codes, and generator {self.generator.name} carries none; "
                "give a folder of images to encode, or take 'random_images'."
            )
        return statistics.bank

    def _require_fitting_encoder(self) -> None:
        name = "the images themselves" if self.encoder is None else f"encoder {self.encoder.layer}"
        size = math.prod(self.generator.image_shape) if self.encoder is None else self.encoder.size
        if size != self.generator.code_size:
            raise ConfigError(
                f"starts of kind '{self.kind}' are encoded images: {name} gives {size} numbers, and generator "
                f"{self.generator.name} takes {self.generator.code_size}; take the encoder that the generator was "
                "trained to invert, or 'normal'."
            )

    def _require_enough(self, count: int, where: str, what: str) -> None:
        if count < self.chains:
            raise ConfigError(
                f"starts of kind '{self.kind}': {where} {count} {what}, too few for {self.chains} chains; take fewer "
                "chains, or another kind."
            )


class _Gallery:
    """The readable images of a folder in a random order, opened no further than asked for."""

    def __init__(self, images: ImageFolder, randomness: torch.Generator) -> None:
        self.images = images
        self._unopened = [images.files[i] for i in reversed(_permutation(len(images.files), randomness))]
        self._readable: list[Path] = []

    def get(self, index: int) -> Tensor:
        """The image (3, h, w), round again beyond the last."""
        while len(self._readable) <= index and self._unopened:
            path = self._unopened.pop()
            if self.images.read(path) is not None:
                self._readable.append(path)
        image = self.images.read(self._readable[index % len(self._readable)])
        if image is None:
            raise ConfigError(f"{self.images.folder}: an image could be read before and cannot now.")
        return image


def _permutation(count: int, randomness: torch.Generator) -> list[int]:
    order: list[int] = torch.randperm(count, generator=randomness).tolist()
    return order


def _cpu(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float32)
