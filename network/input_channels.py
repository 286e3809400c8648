"""Channels of the input: the first convolutions of a network that is built for RGB, for images of other channels.

Weights of RGB images are taken over as timm does: for one channel the three are summed, since a grey image has one
value three times; for others they are repeated in turn (red, green, blue, red, ...) and multiplied by 3 / channels, so
that an image of equal channels gives what it gave before.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from utils.restore import clean_key

RGB = 3


def take_channels(net: Any, channels: int, keep: bool):
    """Make `net`, built for RGB, take images (N, channels, h, w).

    keep: take its weights over; else they are drawn anew, normal, with the variance that leaves sums as large as they
    were. Raises ValueError for a network without a convolution over the image.
    """
    net.in_channels = channels
    if channels == RGB:
        return
    names = input_layers(net)
    if not names:
        raise ValueError(f'--in_channels {channels}: {net.arch} has no convolution over its image; choose another')
    for name in names:
        conv = net.get_submodule(name)
        old = conv.weight.detach()
        shape = (old.shape[0], channels, *old.shape[2:])
        new = adapted(old, channels) if keep else torch.randn(shape) * old.std() * (RGB / channels) ** 0.5
        conv.weight, conv.in_channels = nn.Parameter(new), channels


def input_layers(net: nn.Module) -> list[str]:
    """The names of the convolutions over RGB images."""
    return [
        name
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d) and module.in_channels == RGB and module.groups == 1
    ]


def adapted(weight: Tensor, channels: int) -> Tensor:
    """weight (O, 3, h, w) of a convolution over RGB -> (O, channels, h, w)."""
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-channels // RGB), 1, 1)[:, :channels]
    return repeated * (RGB / channels)


def for_channels(net: Any, weights: Mapping[str, Tensor], stored: int) -> Mapping[str, Tensor]:
    """The weights of a network of `stored` channels for `net`, which may take others if those are RGB."""
    if net.in_channels == stored or stored != RGB:
        return weights
    shapes = {clean_key(key): value.shape for key, value in net.state_dict().items()}

    def fits(key: str, value: Any) -> bool:
        shape = shapes.get(clean_key(key))
        is_input = isinstance(value, Tensor) and value.dim() == 4 and value.shape[1] == RGB
        return not is_input or shape is None or shape[1] == RGB

    return {key: value if fits(key, value) else adapted(value, net.in_channels) for key, value in weights.items()}
