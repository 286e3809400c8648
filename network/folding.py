"""Batch normalisation folded into the convolutions before it: fewer passes over memory in a network that predicts.

In evaluation batch normalisation is a scale and a shift per channel, which weights and bias of the convolution before
it can carry (Jacob et al., CVPR 2018, section 3.2). Results agree up to rounding.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4  # of the largest logit


def folded(net: nn.Module, forward: Callable[[nn.Module], Tensor]) -> nn.Module:
    """A copy of `net` in evaluation mode, with batch normalisation folded wherever it directly follows a convolution.

    Which follows which is seen in a pass. `net` itself comes back where the copy's logits differ by more than
    TOLERANCE: a map that something else reads too, before it is normalised, cannot be seen in a pass.

    Args:
        net: on any device; it stays as it is.
        forward: runs a network on some images and returns its logits; what they are of does not matter.
    """
    net.eval()
    with torch.no_grad():
        pairs, expected = _followers(net, forward)
        if not pairs:
            return net
        other = copy.deepcopy(net)
        for convolution, norm in pairs:
            together = fuse_conv_bn_eval(other.get_submodule(convolution), other.get_submodule(norm))
            _replace(other, norm, _after(other.get_submodule(norm)))
            _replace(other, convolution, together)
        other = other.to(memory_format=torch.channels_last)
        found = forward(other)
    apart = (found - expected).abs().max()
    return other if bool(apart <= TOLERANCE * expected.abs().max()) else net


def _followers(net: nn.Module, forward) -> tuple[list[tuple[str, str]], Tensor]:
    """Names (convolution, batch norm) of the modules that directly follow each other every time, and the logits."""
    names = {module: name for name, module in net.named_modules()}
    outputs: dict[int, tuple[nn.Module, Tensor]] = {}  # the tensors live as long as their numbers are compared
    seen: dict[nn.Module, set] = {}  # batch norm -> what came before it

    def leaves(module, _, output):
        outputs[id(output)] = module, output

    def arrives(module, inputs):
        before, _ = outputs.get(id(inputs[0]), (None, None))
        seen.setdefault(module, set()).add(before)

    hooks = [
        module.register_forward_hook(leaves)
        if isinstance(module, nn.Conv2d)
        else module.register_forward_pre_hook(arrives)
        for module in net.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    try:
        logits = forward(net)
    finally:
        for hook in hooks:
            hook.remove()
    alone = [(before, norm) for norm, (before, *others) in seen.items() if before is not None and not others]
    used = [before for before, _ in alone]
    return [(names[before], names[norm]) for before, norm in alone if used.count(before) == 1], logits


def _after(norm: nn.Module) -> nn.Module:
    """What is left of a batch norm: the activation of timm's forms that hold one."""
    return nn.Sequential(
        *(part for name in ('drop', 'act') if isinstance(part := getattr(norm, name, None), nn.Module))
    )


def _replace(net: nn.Module, name: str, module: nn.Module):
    parent, _, own = name.rpartition('.')
    setattr(net.get_submodule(parent), own, module)
