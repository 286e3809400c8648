"""Trunks by name (`--trunk`).

A trunk is a module with `channels`, a dict from stride to channels, and `head_strides`, the strides whose maps its
heads read, finest first. `trunk(images)` returns a dict from stride to map (N, channels[stride], h / stride, w / stride),
rounded up. `deepest_stride` is the largest stride inside it; it limits how small an image may be.
"""
from torch import nn

from network.registry import TRUNKS
from network.trunks import hrnet

__all__ = ['TRUNKS', 'build_trunk', 'hrnet']


def build_trunk(name: str, align_corners: bool = False) -> nn.Module:
    """The trunk called `name`, randomly initialised; an unknown name is a ValueError."""
    return TRUNKS[name](align_corners=align_corners)
