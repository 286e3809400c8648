"""Trunks by name (`--trunk`).

A trunk is a module with `channels`, a dict from stride to channels, and `head_strides`, the strides whose maps its
heads read, finest first. `skip_strides` are the strides of the finer maps that a decoder may add, finest first, or ().
`trunk(images)` returns a dict from stride to map (N, channels[stride], h / stride, w / stride), rounded up.
`deepest_stride` is the largest stride inside it; it limits how small an image may be.
"""
from torch import nn

from network.registry import TRUNKS
from network.trunks import hrnet

__all__ = ['TRUNKS', 'build_trunk', 'check_trunk', 'hrnet']


def check_trunk(name: str):
    """Raise ValueError for an unknown name."""
    _ = TRUNKS[name]


def build_trunk(name: str, align_corners: bool = False, dilated: bool = False) -> nn.Module:
    """The trunk called `name`, randomly initialised; an unknown name is a ValueError.

    dilated: the head wants one deep map at stride 8; trunks that exist in both forms dilate their last stages for it.
    """
    return TRUNKS[name](align_corners=align_corners)
