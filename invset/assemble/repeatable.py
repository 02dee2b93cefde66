"""Whether models give the same for a code each time, alone as in a batch: else what is called a sample may be none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from invset.assemble.device import PRECISIONS
from invset.assemble.models import Models
from invset.core.problem import require_some, round_to_eight_bits
from invset.errors import ConfigError
from invset.passes.micro_batches import Batches

CODES = 4
SHARE = 0.003  # of the spread between codes, by which two answers to one of them may differ
ROUNDINGS = 32  # of an answer's own size; where answers to all codes are nearly alike, that is more

AGAIN = (
    "another answer for the same {} each time, as dropout or noise in its forward does: let it draw nothing in eval "
    "mode, as with F.dropout(x, training=self.training)"
)
ALONE = (
    "another answer for a {} alone than for it in a batch, or none, as BatchNorm on the batch's own statistics does: "
    "let it take each by itself, as with BatchNorm's running statistics, or GroupNorm"
)


def require_repeatable(models: Models, codes: Tensor, precision: str) -> None:
    """Refuse a generator, network or encoder whose answer to a code (m, c) depends on more than that code.

    Raises:
        ConfigError: one does.
        NonFiniteError: it gives NaN or infinity for all codes.
    """
    network, encoder, layers = models.network, models.encoder, {unit.layer for unit in models.units}
    tolerance = ROUNDINGS * torch.finfo(torch.float16 if precision == "tf32" else PRECISIONS[precision]).eps

    def require(name: str, what: str, run: Callable[[Tensor], tuple[Tensor, ...]], inputs: Tensor) -> Tensor:
        run = Batches().over(run)
        first = run(inputs)
        finite = require_some(torch.stack([one.flatten(1).isfinite().all(dim=1) for one in first]).all(dim=0))
        inputs, first = inputs[finite], tuple(one[finite] for one in first)
        if _differ(first, run(inputs), tolerance):
            raise ConfigError(f"{name} gives {AGAIN.format(what)}.")
        try:
            alone = [torch.cat(parts) for parts in zip(*map(run, inputs.split(1)), strict=True)]
        except (RuntimeError, ValueError) as error:  # as BatchNorm says where there is but one value
            raise ConfigError(f"{name} gives {ALONE.format(what)}.") from error
        if _differ(first, alone, tolerance):
            raise ConfigError(f"{name} gives {ALONE.format(what)}.")
        return first[0]

    with torch.no_grad():
        images = require(f"generator {models.generator.name}", "code", lambda some: (models.generator(some),), codes)
        images = round_to_eight_bits(images)
        require(f"network {network.name}", "image", lambda some: tuple(network.read(layers, some).values()), images)
        if encoder is not None:
            require(f"encoder {encoder.network.name}", "image", lambda some: (encoder(some),), images)


def _differ(ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float) -> bool:
    """Whether answers (k, …) differ in their root mean squares; NaN does."""
    for one, other in zip(ours, theirs, strict=True):
        apart, spread, size = (_size(values) for values in (one - other, one - one.mean(dim=0), one))
        if not apart <= SHARE * spread + tolerance * size:
            return True
    return False


def _size(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
