"""What the rest needs to know of a network (image -> layers of units) and of a generator (code -> image)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from invset.errors import ConfigError
from invset.models.colours import Colours
from invset.models.layers import FoundLayer, channels_first, discover, read_layers
from invset.names import hint

Device = torch.device | str


class CodeStatistics(NamedTuple):
    """Of the codes of real images.

    mean (c,); deviation (c,), per dimension; bank (m, c), codes of real images, m may be 0; float32.
    """

    mean: Tensor
    deviation: Tensor
    bank: Tensor


class _Placed:
    """What networks and generators have in common: a module and its colours, on one device."""

    module: nn.Module
    colours: Colours

    def to(self, device: Device, dtype: torch.dtype | None = None, channels_last: bool | None = None) -> None:
        """Move it, in place; compute in `dtype` and with channels last in memory, where they are given."""
        self.module.to(device, dtype)
        if channels_last is not None:
            for parameter in self.module.parameters():  # the input follows the weights
                if parameter.ndim == 4:
                    layout = torch.channels_last if channels_last else torch.contiguous_format
                    parameter.data = parameter.data.contiguous(memory_format=layout)
        self.colours.to(device)


@dataclass(frozen=True, eq=False)
class Network(_Placed):
    """A network whose layers have public names; compared by identity.

    The module is put in eval mode and its weights need no gradients from here on.

    Attributes:
        name: for messages and records.
        module: images (b, 3, h, w), in the colours below -> anything.
        layers: public name -> module path, from shallow to deep; '' is the module's own output.
        input_shape: (3, h, w), pixels.
        labels: layer -> the name of each of its units, in order; layers without names may be left out.
        files: of its weights, if it has any.
        colours: what the module makes of RGB in [0, 1].
        shapes: layer -> (channels,), (channels, tokens) or (channels, h, w); measured by a forward pass if not given.
        logit_scales: layer -> s, where its outputs / s are what softmax turns into probabilities; 1 where left out.

    Raises:
        ConfigError: a layer does not exist or is no vector, sequence or map, or has too few or many labels.
    """

    name: str
    module: nn.Module
    layers: Mapping[str, str]
    input_shape: tuple[int, int, int]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    colours: Colours = field(default_factory=Colours)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    logit_scales: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False)
        self.colours.to(next((p.device for p in self.module.parameters()), torch.device("cpu")))
        if not self.shapes:
            object.__setattr__(self, "shapes", self._measure())
        for layer, labels in self.labels.items():
            count = self.units(layer)
            if labels and len(labels) != count:
                raise ConfigError(
                    f"layer {layer} of {self.name} has {count} units but {len(labels)} labels; give {count}."
                )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.module.parameters()), self.colours.mean.device)

    def shape(self, layer: str) -> tuple[int, ...]:
        """(channels,), (channels, tokens) or (channels, h, w). Raises ConfigError if there is no such layer."""
        if layer not in self.layers:
            raise ConfigError(f"network {self.name} has no layer '{layer}': {hint(layer, self.layers)}")
        return self.shapes[layer]

    def units(self, layer: str) -> int:
        """How many units (a map counts as one). Raises ConfigError if there is no such layer."""
        return self.shape(layer)[0]

    def read(self, layers: Iterable[str], images: Tensor) -> dict[str, Tensor]:
        """Several layers in one forward pass, which ends at the deepest of them.

        Images of another size than `input_shape` are resized first (bilinear, antialiased, differentiable).

        Args:
            layers: public names.
            images: (b, 3, h, w), RGB in [0, 1].

        Returns:
            layer -> (b, channels), (b, channels, tokens) or (b, channels, h, w), float32 if it computes in less.

        Raises:
            ConfigError: there is no such layer.
        """
        wanted = list(layers)
        for layer in wanted:
            self.shape(layer)
        inputs = self.colours.encode(resize(images, self.input_shape[1:])).to(_dtype(self.module, images.dtype))
        outputs = read_layers(self.module, [self.layers[layer] for layer in wanted], inputs)
        return {layer: channels_first(_at_least_float32(outputs[self.layers[layer]])) for layer in wanted}

    def discover(self) -> dict[str, FoundLayer]:
        """Module path -> what is known of the layer, of all that the module has; see `layers.discover`."""
        return discover(self.module, blank_images(self.module, self.colours, self.input_shape[1:]))

    def _measure(self) -> dict[str, tuple[int, ...]]:
        found = self.discover()
        for layer, path in self.layers.items():
            if path not in found:
                raise ConfigError(
                    f"layer {layer} of {self.name}: '{path}' does not run, or gives no vector, sequence or map of each "
                    f"image: {hint(path, found)}"
                )
        return {layer: found[path].shape for layer, path in self.layers.items()}


@dataclass(frozen=True, eq=False)
class Generator(_Placed):
    """A generator G: codes (b, c) -> images (b, 3, h, w); compared by identity.

    The module is put in eval mode and its weights need no gradients from here on.

    Attributes:
        name: for messages and records.
        module: codes (b, c) -> images (b, 3, H, W) in the colours below.
        code_size: c.
        image_shape: (3, h, w), pixels: the middle of what the module gives.
        statistics: of natural codes, where known.
        natural: reads more natural codes (m, c) than those of the statistics.
        code_bounds: (lowest, highest) entry that codes may sensibly have, where known.
        files: of its weights, if it has any.
        colours: what the module makes instead of RGB in [0, 1].
        inverts: (network, layer) whose outputs the codes are, by the network's name in the registry; None: of none.
    """

    name: str
    module: nn.Module
    code_size: int
    image_shape: tuple[int, int, int]
    statistics: CodeStatistics | None = None
    code_bounds: tuple[float, float] | None = None
    files: tuple[Path, ...] = ()
    colours: Colours = field(default_factory=Colours)
    inverts: tuple[str, str] | None = None
    natural: Callable[[], Tensor] | None = None

    def __post_init__(self) -> None:
        self.module.eval().requires_grad_(False)

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes (b, c) -> images (b, 3, h, w), RGB, valid in [0, 1]; values outside are possible."""
        outputs = self.module(codes.to(_dtype(self.module, codes.dtype)))
        return self.colours.decode(_at_least_float32(crop(outputs, self.image_shape[1:])))


def count_operations(modules: Iterable[nn.Module], run: Callable[[], object]) -> int:
    """The floating-point operations that convolutions and linear layers of some modules take while `run` is called."""
    total = 0

    def count(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += 2 * output.numel() * layer.in_features
        else:
            transposed = isinstance(layer, nn.ConvTranspose2d)
            each, channels = (inputs[0], layer.out_channels) if transposed else (output, layer.in_channels)
            total += 2 * each.numel() * channels // layer.groups * math.prod(layer.kernel_size)

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = {layer for module in modules for layer in module.modules() if isinstance(layer, kinds)}
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return total


def resize(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images (b, 3, h, w) at `size` = (h, w), bilinear and antialiased; untouched if they have it."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)


def crop(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """The middle (b, 3, h, w) of images, `size` = (h, w); of 256 pixels 227 are [14:241], as PPGN has it."""
    (top, left) = ((have - want) // 2 for have, want in zip(images.shape[-2:], size, strict=True))
    return images[..., top : top + size[0], left : left + size[1]]


def cropped_shape(size: tuple[int, int], side: int | None) -> tuple[int, int, int]:
    """(3, side, side), the middle of images of `size` = (h, w); None: (3, h, w), all of it. Raises ConfigError."""
    if side is None:
        return (3, *size)
    if not isinstance(side, int) or not 1 <= side <= min(size):
        raise ConfigError(f"crop is {side}; the generator's images are {size[0]}x{size[1]}, so give 1 to {min(size)}.")
    return (3, side, side)


def blank_images(module: nn.Module, colours: Colours, size: tuple[int, ...]) -> Tensor:
    """Two black images (2, 3, h, w) as the module takes them: its colours, type of numbers and device."""
    parameter = next(module.parameters(), colours.mean)
    black = torch.zeros(2, 3, *size, device=colours.mean.device)
    return colours.encode(black).to(parameter.device, parameter.dtype)


def _dtype(module: nn.Module, default: torch.dtype) -> torch.dtype:
    return next((p.dtype for p in module.parameters()), default)


def _at_least_float32(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
