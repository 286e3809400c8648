"""Convolutions over a pyramid: maps of several strides that a head reads as if resized to the finest and concatenated.

HRNet's heads convolve `concat(x4, up(x8), up(x16), up(x32))`. Both a convolution and a bilinear resize are linear, and
the one mixes channels while the other acts on each alone, so the coarse maps can be convolved where they are small and
resized afterwards. The result is the same up to rounding for a fraction of the arithmetic (W48, 3x3 to 512 channels:
a fifth), and the concatenated map is never stored.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.resize import Size, resize


def conv_over_pyramid(conv: nn.Conv2d, maps: list[Tensor], align_corners: bool) -> Tensor:
    """`conv` (stride 1, 1x1 or 3x3 padded) of the concatenation of `maps`, finest first, at the size of the finest.

    maps (N, c_i, h_i, w_i) with the c_i summing to conv.in_channels. Returns (N, conv.out_channels, h_0, w_0).
    """
    size = maps[0].shape[-2:]
    weights = conv.weight.split([m.shape[1] for m in maps], dim=1)
    near = [(m, w) for m, w in zip(maps, weights) if not _is_cheaper_coarse(m, w, size)]
    far = [(m, w) for m, w in zip(maps, weights) if _is_cheaper_coarse(m, w, size)]
    stacked = torch.cat([resize(m, size, align_corners) for m, _ in near], dim=1) if len(near) > 1 else near[0][0]
    weight = torch.cat([w for _, w in near], dim=1) if len(near) > 1 else near[0][1]
    out = F.conv2d(stacked, weight, conv.bias, padding=conv.padding)
    for coarse, weight in far:
        out = out + convolve_then_resize(coarse, weight, size, align_corners)
    return out


def _is_cheaper_coarse(maps: Tensor, weight: Tensor, size: Size) -> bool:
    """Whether `convolve_then_resize` multiplies less than resizing first, counted per output value."""
    (h, w), (height, width) = maps.shape[-2:], size
    if (h, w) == (height, width):
        return False
    channels, taps = weight.shape[1], weight.shape[-1]
    if taps == 1:
        return True
    share = (h * w) / (height * width)
    coarse = taps * taps * channels * share + taps * taps * w * h / height + taps * h
    return coarse < taps * taps * channels


def convolve_then_resize(maps: Tensor, weight: Tensor, size: Size, align_corners: bool) -> Tensor:
    """What a zero-padded stride-1 convolution makes of maps (N, c, h, w) resized to `size`, computed from the small maps.

    weight (C, c, k, k), k odd. A k x k convolution is a sum over its taps of a 1x1 convolution that is shifted; the
    1x1 part happens at (h, w), and resizing and shifting together are one matrix per axis. Returns (N, C, H, W).
    """
    taps = weight.shape[-1]
    if taps == 1:
        return resize(F.conv2d(maps, weight), size, align_corners)
    n, _, h, w = maps.shape
    out_channels = weight.shape[0]
    rows = _shifted_resizes(h, size[0], taps, align_corners, maps)
    columns = torch.cat(_shifted_resizes(w, size[1], taps, align_corners, maps).unbind(), dim=1)    # (W, taps * w)
    tokens = maps.flatten(2).transpose(1, 2)                                                        # (N, h w, c)
    out = None
    for row, kernel in zip(rows, weight.unbind(dim=2)):                                             # kernel (C, c, k)
        tapped = tokens @ kernel.permute(1, 2, 0).reshape(-1, taps * out_channels)
        tapped = tapped.reshape(n, h, w, taps, out_channels).transpose(2, 3).reshape(n * h, taps * w, out_channels)
        wide = (columns @ tapped).reshape(n, h, -1)                                                 # (N, h, W C)
        out = row @ wide if out is None else out + row @ wide
    return out.reshape(n, *size, out_channels).permute(0, 3, 1, 2)


def _shifted_resizes(length: int, target: int, taps: int, align_corners: bool, like: Tensor) -> Tensor:
    """Matrices (taps, target, length): resize a line of `length` values, then shift it by each tap, zeros coming in."""
    with torch.no_grad():
        eye = torch.eye(length, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
        matrix = resize(eye[None, :, :, None], (target, 1), align_corners)[0, :, :, 0].T           # (target, length)
        reach = taps // 2
        padded = F.pad(matrix, (0, 0, reach, reach))
        return torch.stack([padded[tap:tap + target] for tap in range(taps)]).to(like.dtype)
