"""Bilinear resizing, and the precision it happens in.

Nothing here antialiases: the published weights were trained without.
"""
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]


def resize(maps: Tensor, size: Size, align_corners: bool) -> Tensor:
    """maps (N, C, h, w) bilinearly resized to `size` (H, W), in the dtype of maps whatever autocast says.

    Autocast's rule for interpolation depends on the device and on the version of torch, so it is switched off; who
    needs single precision calls `single(maps)` first.
    """
    if maps.shape[-2:] == torch.Size(size):
        return maps
    with without_autocast(maps):
        return F.interpolate(maps, size=size, mode='bilinear', align_corners=align_corners)


def scaled_size(size: Size, scale: float) -> Size:
    """The size (h, w) of an image resized by `scale`: rounded down."""
    return int(size[0] * scale), int(size[1] * scale)


def single(maps: Tensor) -> Tensor:
    """maps in float32, unless they are float32 or float64 already."""
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def without_autocast(maps: Tensor) -> AbstractContextManager:
    """A context in which operations on the device of `maps` keep the dtype they are given.

    It is empty where autocast is off anyway: an exporter would make a subgraph of each.
    """
    device = maps.device.type
    return torch.autocast(device_type=device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
