"""Bilinear resizing, and the precision it happens in.

Nothing here antialiases: the published weights were trained without.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[int, int]
EXACT_SCALES = 64  # scales that are a multiple of 1 / 64 (or 1 / 32, ...) resize in integers


def size_of(maps: Tensor) -> Size:
    """(h, w) of maps (N, C, h, w)."""
    height, width = maps.shape[-2:]
    return height, width


def resize(maps: Tensor, size: Size, align_corners: bool) -> Tensor:
    """maps (N, C, h, w) bilinearly resized to `size` (H, W), in the dtype of maps whatever autocast says.

    Autocast's rule for interpolation depends on the device and on the version of torch, so it is switched off;
    for single precision call `single(maps)` first.
    """
    if maps.shape[-2:] == torch.Size(size):
        return maps
    with without_autocast(maps):
        return F.interpolate(maps, size=size, mode='bilinear', align_corners=align_corners)


def scaled_size(size: Size, scale: float) -> Size:
    """The size (h, w) of an image resized by `scale`: rounded down.

    A scale like 0.5 or 1.75 is applied in integers, which an exporter can keep as a formula; the result is the same.
    """
    over, under = scale.as_integer_ratio()
    if under <= EXACT_SCALES:
        return size[0] * over // under, size[1] * over // under
    return int(size[0] * scale), int(size[1] * scale)


def single(maps: Tensor) -> Tensor:
    """maps in float32, unless they are float32 or float64 already."""
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def without_autocast(maps: Tensor) -> AbstractContextManager:
    """A context in which operations on the device of `maps` keep the dtype they are given.

    It is empty where autocast is off anyway: an exporter would make a subgraph of each. On the meta device it always
    is.
    """
    device = maps.device.type
    if maps.is_meta or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device_type=device, enabled=False)
