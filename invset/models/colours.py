"""How a model holds colours, declared once per model: any generator's images then suit any network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from invset.errors import ConfigError

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of torchvision's and most other networks; RGB in [0, 1]
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN = (104.0, 117.0, 123.0)  # of ImageNet, BGR, 0 to 255: openvinotoolkit/open_model_zoo:caffenet/model.yml


class Colours(nn.Module):
    """(scale · x − mean) / deviation of RGB images x in [0, 1], in the model's order of channels.

    Args:
        scale: 255 for a model of bytes, 1 for one of [0, 1].
        mean: on that scale and in that order: one number, one a channel, or an image (3, h, w).
        deviation: one number, or one a channel, above 0.
        bgr: blue first, as Caffe's models have it.

    Raises:
        ConfigError: the numbers make no sense.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        scale: float = 1.0,
        mean: float | Sequence[float] | Tensor = 0.0,
        deviation: float | Sequence[float] = 1.0,
        bgr: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(bgr, bool):
            raise ConfigError(f"colours: bgr={bgr}; give true (blue first) or false.")
        self.scale, self.bgr = float(scale), bgr
        self.register_buffer("mean", _channels(mean, "mean"), persistent=False)
        self.register_buffer("deviation", _channels(deviation, "deviation"), persistent=False)
        if not (self.scale > 0 and bool((self.deviation > 0).all())):
            raise ConfigError(f"colours: scale {scale} and deviation {deviation} have to be above 0.")
        self._plain = self.scale == 1 and not self.mean.any() and bool((self.deviation == 1).all()) and not bgr

    def encode(self, images: Tensor) -> Tensor:
        """RGB in [0, 1] (b, 3, h, w) -> what the model takes; differentiable."""
        if self._plain:
            return images
        x = images.flip(1) if self.bgr else images
        return (x * self.scale - self.mean) / self.deviation

    def decode(self, outputs: Tensor) -> Tensor:
        """What a generator gives (b, 3, h, w) -> RGB on the scale of [0, 1], not clamped; the inverse of `encode`."""
        if self._plain:
            return outputs
        x = (outputs * self.deviation + self.mean) / self.scale
        return x.flip(1) if self.bgr else x


def caffe_colours(mean: float | Sequence[float] | Tensor = CAFFE_MEAN) -> Colours:
    """BGR from 0 to 255, less a mean: one a channel (blue first), or an image (3, h, w)."""
    return Colours(255.0, mean, bgr=True)


def _channels(values: float | Sequence[float] | Tensor, what: str) -> Tensor:
    try:
        tensor = torch.as_tensor(values, dtype=torch.float32, device="cpu")
        if not bool(tensor.isfinite().all()) or (tuple(tensor.shape) not in ((), (1,), (3,)) and tensor.ndim != 3):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ConfigError(f"colours: {what}={values}; give a finite number, or one for each of 3 channels.") from error
    return tensor.view(-1, 1, 1) if tensor.ndim == 1 else tensor
