"""Convolutions over a pyramid: maps of several strides that a head reads as if resized to the finest and concatenated.

HRNet's heads convolve `concat(x4, up(x8), up(x16), up(x32))`. A convolution and a bilinear resize are both linear, and
the resize acts on each channel alone, so a coarse map can be convolved where it is small and resized afterwards. The
result is the same up to rounding for a fraction of the arithmetic (W48, 3x3 to 512 channels: about a quarter), and the
concatenated map is never stored.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network.resize import Size, resize, size_of


def conv_over_pyramid(
    conv: nn.Conv2d, maps: list[Tensor], align_corners: bool, *, plain: bool = False, size: Size | None = None
) -> Tensor:
    """`conv` (stride 1, padded to keep the size, odd kernel, any dilation) of the concatenation of `maps`, resized to
    `size`.

    Args:
        maps: (N, c_i, h_i, w_i) with the c_i summing to conv.in_channels.
        plain: resize all of them first (network.plain).
        size: (H, W) of one of them, by default of the first.

    Returns:
        (N, conv.out_channels, H, W).
    """
    if len(maps) == 1:
        return conv(maps[0])
    size = size or size_of(maps[0])
    weights = conv.weight.split([m.shape[1] for m in maps], dim=1)
    near: list[tuple[Tensor, Tensor]] = []
    far: list[tuple[Tensor, Tensor]] = []
    for pair in zip(maps, weights):
        (far if not plain and _is_cheaper_small(*pair, size) else near).append(pair)
    stacked = torch.cat([resize(m, size, align_corners) for m, _ in near], dim=1)
    out = F.conv2d(
        stacked, torch.cat([w for _, w in near], dim=1), conv.bias, padding=conv.padding, dilation=conv.dilation
    )
    return _add_far(out, far, conv.dilation[0], align_corners) if far else out


def stack(maps: list[Tensor], align_corners: bool) -> Tensor:
    """The concatenation of `maps` (N, c_i, h_i, w_i), resized to the first: (N, sum of c_i, h_0, w_0)."""
    size = size_of(maps[0])
    return torch.cat([resize(m, size, align_corners) for m in maps], dim=1)


def mean_over_pyramid(maps: list[Tensor], align_corners: bool, *, plain: bool = False) -> Tensor:
    """The mean over the image of the concatenation of `maps` (N, c_i, h_i, w_i), resized to the first: (N, sum of c_i,
    1, 1).

    A resize is a product with one matrix per axis, so the mean is one with the mean of the matrix' rows. plain: resize
    first.
    """
    first, *rest = maps
    means = [first.mean(dim=(2, 3), keepdim=True)]
    for m in rest:
        if plain:
            means.append(resize(m, size_of(first), align_corners).mean(dim=(2, 3), keepdim=True))
            continue
        rows, columns = (
            _shifted_resize(small, full, 1, 1, align_corners, m).mean(dim=0)
            for small, full in zip(m.shape[-2:], first.shape[-2:])
        )  # (1, h), (1, w)
        means.append(rows @ m @ columns.T)
    return torch.cat(means, dim=1)


def _is_cheaper_small(maps: Tensor, weight: Tensor, size: Size) -> bool:
    """Whether convolving before resizing multiplies less than the other way round, counted per output value."""
    (h, w), (height, width) = maps.shape[-2:], size
    if (h, w) == (height, width):
        return False
    channels, taps = weight.shape[1], weight.shape[-1]
    small = taps * taps * channels * h * w / (height * width) + taps * taps * w * h / height + taps * h
    return small < taps * taps * channels


def _add_far(out: Tensor, far: list[tuple[Tensor, Tensor]], dilation: int, align_corners: bool) -> Tensor:
    """out (N, C, H, W) plus, for each (map, weight) of `far`, the convolution of the map resized to (H, W).

    A k x k convolution is a sum over its taps of shifted 1x1 convolutions. Those happen on the small map; then one
    matrix per axis resizes, shifts and sums: out += rows @ (columns @ tapped). `out` may be overwritten.
    """
    n, out_channels, height, width = out.shape
    total = out.permute(0, 2, 3, 1).flatten(2)  # (N, H, W C)
    add_product = Tensor.baddbmm if torch.is_grad_enabled() else Tensor.baddbmm_
    for maps, weight in far:
        h, w = maps.shape[-2:]
        taps = weight.shape[-1]
        # (H, k h)
        rows = _shifted_resize(h, height, taps, dilation, align_corners, out).flatten(1)
        # (W, w k)
        columns = _shifted_resize(w, width, taps, dilation, align_corners, out).transpose(1, 2).flatten(1)
        # (N, 1, h w, c)
        tokens = maps.flatten(2).transpose(1, 2).unsqueeze(1)
        kernels = weight.permute(2, 1, 3, 0).flatten(2)  # (k, c, k C)
        tapped = torch.matmul(tokens, kernels).view(n * taps * h, w * taps, out_channels)
        widened = torch.matmul(columns, tapped).view(n, taps * h, width * out_channels)
        total = add_product(total, rows.expand(n, -1, -1), widened)
    return total.view(n, height, width, out_channels).permute(0, 3, 1, 2)


def _shifted_resize(length: int, target: int, taps: int, dilation: int, align_corners: bool, like: Tensor) -> Tensor:
    """The matrices (target, taps, length) that resize a line and shift it by each tap, zeros coming in.

    Args:
        length, target: values of the line before and after.
        taps: how many, an odd number.
        dilation: pixels from one to the next.
        like: a tensor of the type and device of the result.
    """
    eye = torch.eye(length, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
    # (target, length)
    matrix = F.interpolate(eye[None], size=target, mode='linear', align_corners=align_corners)[0].T
    reach = taps // 2 * dilation
    padded = F.pad(matrix, (0, 0, reach, reach))
    return torch.stack([padded[shift : shift + target] for shift in range(0, taps * dilation, dilation)], dim=1).to(
        like.dtype
    )
