"""Folded weights -> the same function with BatchNorm, to train on from what is shipped."""

import torch
from torch import Tensor, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def unfold(folded: nn.Module, module: nn.Module, inputs: Tensor) -> None:
    """Fill `module`, which has norms, with the weights of its folded copy.

    Each norm takes its mean and deviation from `inputs`, so that the function is the folded one's in eval
    mode exactly, and in training mode for batches like them.
    """
    layers = [layer for layer in folded.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    found = [
        layer
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)
    ]
    outputs: dict[nn.Module, Tensor] = {}
    handles = [layer.register_forward_hook(lambda m, i, o: outputs.__setitem__(m, o)) for layer in layers]
    folded.to(inputs.device)(inputs)
    for handle in handles:
        handle.remove()
    rest = iter(layers)
    for layer in found:
        if not isinstance(layer, NORMS):
            last = next(rest)
            layer.load_state_dict({k: v for k, v in last.state_dict().items() if k in layer.state_dict()})
            continue
        channels = outputs[last].transpose(0, 1).flatten(1)
        mean, variance = channels.mean(1), channels.var(1)
        layer.weight.copy_((variance + layer.eps).sqrt())
        layer.bias.copy_(mean)
        layer.running_mean.copy_(mean - last.bias)
        layer.running_var.copy_(variance)
