"""Distillation: the student's classes at every pixel are drawn to those of a teacher (Hinton et al., 2015, arXiv
1503.02531, section 2).

The loss is T^2 KL(p || q), p the teacher's and q the student's softmax of logits divided by the temperature T; T^2
keeps its gradient, T (q - p), of one size at every T. Both are averaged down to a quarter of the crop's sides first, or
to the student's own output where that is coarser: what a teacher knows beyond its labels is smooth, and maps of classes
at full size would cost more memory than the student.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import full_precision

STRIDE = 4  # pixels of the crop from one place of the maps to the next, at least


def distillation_loss(
    student: Tensor, teachers: Sequence[Tensor], labels: Tensor, temperature: float = 1.0, ignore_label: int = 255
) -> Tensor:
    """Scalar: the mean divergence over the labelled pixels; 0 with zero gradient where there are none.

    Pixels without a label do not count, as in every loss here: beside the image, where a crop is filled up, a teacher
    knows nothing. A place of the coarse maps counts by its share of labelled pixels.

    Args:
        student: logits (N, K, h, w).
        teachers: logits (N, K, ., .) of any size; of several the mean of their probabilities.
        labels: (N, H, W), or of several classes for a pixel (N, K, H, W); outside [0, K) or ignore_label: no label.
        temperature: above 1 the smaller probabilities count for more.
    """
    with torch.autocast(student.device.type, enabled=False):
        own = _coarse(full_precision(student), labels.shape[-2:])
        grid = own.shape[-2:]
        with torch.no_grad():
            given = [_at(full_precision(logits), grid) for logits in teachers]
            truth = torch.stack([(logits / temperature).softmax(1) for logits in given]).mean(0)
            is_labelled = (labels >= 0) & (labels < student.shape[1]) & (labels != ignore_label)
            if is_labelled.dim() == 4:
                is_labelled = is_labelled.any(1)
            share = _at(is_labelled[:, None].to(own.dtype), grid)[:, 0]
        cross = (truth * (own / temperature).log_softmax(1)).sum(1)
        divergence = -torch.special.entr(truth).sum(1) - cross
        return temperature**2 * (divergence * share).sum() / share.sum().clamp(min=1e-6)


def pooled(logits: Tensor, size) -> Tensor:
    """Logits of a teacher for a crop of `size`, as coarse as `distillation_loss` reads them at most, in float32."""
    return _coarse(full_precision(logits), size)


def _coarse(maps: Tensor, size) -> Tensor:
    """Maps (N, K, h, w) averaged over as many pixels as leaves STRIDE pixels of `size` from one to the next."""
    factor = max(1, round(STRIDE * maps.shape[-1] / size[-1]))
    return F.avg_pool2d(maps, factor, ceil_mode=True) if factor > 1 else maps


def _at(maps: Tensor, grid) -> Tensor:
    """Maps (N, K, h, w) at the size of `grid`, averaged down or interpolated up."""
    height, width = maps.shape[-2:]
    factor = -(-height // grid[0])
    if (-(-height // factor), -(-width // factor)) == tuple(grid):
        return F.avg_pool2d(maps, factor, ceil_mode=True) if factor > 1 else maps
    if height >= grid[0] and width >= grid[1]:
        return F.adaptive_avg_pool2d(maps, tuple(grid))
    return F.interpolate(maps, size=tuple(grid), mode='bilinear', align_corners=False)
