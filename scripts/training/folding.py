"""BatchNorms merged into the layers before them, as weights are shipped; and put back, to train on from there."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from invset.errors import WeightsError
from invset.models.mini import MiniGenerator, MiniNetwork
from training.checkpoint import initialise

Module = TypeVar("Module", bound=nn.Module)
Model = MiniNetwork | MiniGenerator
LAYERS = nn.Conv2d | nn.Linear
NORMS = nn.BatchNorm1d | nn.BatchNorm2d


def fold(module: Module) -> Module:
    """A copy in eval mode with each BatchNorm merged into the convolution or linear layer before it.

    Computes the same function as the module in eval mode, up to rounding.
    """
    module = copy.deepcopy(module).eval()
    for block in [m for m in module.modules() if isinstance(m, nn.Sequential)]:
        layers: list[nn.Module] = []
        for layer in block:
            if isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(cast(nn.Conv2d, layers[-1]), layer)
            elif isinstance(layer, nn.BatchNorm1d):
                layers[-1] = fuse_linear_bn_eval(cast(nn.Linear, layers[-1]), layer)
            else:
                layers.append(layer)
        del block[:]
        block.extend(layers)
    return module


@torch.no_grad()
def unfold(folded: nn.Module, module: nn.Module, inputs: Tensor) -> None:
    """Fill `module`, which has norms, with the weights of its folded copy.

    Each norm takes its mean and deviation from `inputs`, so that the function is the folded one's: for any
    batch in eval mode, for `inputs` in training mode.
    """
    layers = [layer for layer in folded.modules() if isinstance(layer, LAYERS)]
    measured: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def measure(layer: nn.Module, _: object, output: Tensor) -> None:
        channels = output.transpose(0, 1).flatten(1)
        measured[layer] = channels.mean(1), channels.var(1, correction=0)

    handles = [layer.register_forward_hook(measure) for layer in layers]
    folded.to(inputs.device)(inputs)
    for handle in handles:
        handle.remove()
    rest = iter(layers)
    for layer in module.modules():
        if isinstance(layer, LAYERS):
            last = next(rest)
            layer.load_state_dict({name: last.get_parameter(name) for name, _ in layer.named_parameters()})
        elif isinstance(layer, NORMS):
            mean, variance = measured[last]
            layer.weight.copy_((variance + layer.eps).sqrt())
            layer.bias.copy_(mean)
            cast(Tensor, layer.running_mean).copy_(mean - cast(Tensor, last.bias))
            cast(Tensor, layer.running_var).copy_(variance)


def start_from(module: Model, source: str, key: str, load: Callable[[str | None], Model], inputs: Tensor) -> None:
    """Fill `module` from a checkpoint's `key`, from unfolded weights, or by `unfold` from folded ones.

    source: a .pt or safetensors file, or "shipped". load: reads folded weights, None the shipped ones.

    Raises:
        WeightsError: the file is missing, damaged, or holds another model's weights.
    """
    if source.endswith(".pt") or (source != "shipped" and _has_norms(source)):
        initialise(module, source, key)
        return
    folded = load(None if source == "shipped" else source)
    if folded.dimensions != module.dimensions:
        raise WeightsError(f"{source}: has {folded.dimensions}, and what is trained {module.dimensions}.")
    unfold(folded, module, inputs)


def _has_norms(path: str | Path) -> bool:
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return any(name.endswith("running_mean") for name in names)
    except (SafetensorError, OSError):
        return False  # `load` says why
