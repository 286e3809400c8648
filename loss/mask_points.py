"""Points at which masks are compared (PointRend, Kirillov et al., CVPR 2020, arXiv 1912.08193): values between pixels,
and points drawn where a mask is least certain. Coordinates (x, y) lie in [0, 1], from edge to edge of a mask."""

import torch
import torch.nn.functional as F
from torch import Tensor

OVERSAMPLED = 3  # random points for each that is kept
UNCERTAIN = 0.75  # share of the points that lie where masks are least certain; the rest are random


def values_at(masks: Tensor, points: Tensor) -> Tensor:
    """masks (M, h, w), bilinear at points (M, P, 2), or (1, P, 2) for all -> (M, P). Outside of the centres of the
    outermost pixels a mask falls off to 0."""
    grid = (2 * points - 1).expand(len(masks), -1, -1).unsqueeze(1)
    return F.grid_sample(masks.unsqueeze(1), grid, align_corners=False)[:, 0, 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, count: int) -> Tensor:
    """Points (M, count, 2) of masks (M, h, w), logits: of three times as many random ones those closest to 0, and
    random ones."""
    drawn = torch.rand(len(logits), count * OVERSAMPLED, 2, device=logits.device, dtype=logits.dtype)
    chosen = int(UNCERTAIN * count)
    best = values_at(logits, drawn).abs().neg().topk(chosen, dim=1).indices
    kept = drawn.gather(1, best.unsqueeze(-1).expand(-1, -1, 2))
    random = torch.rand(len(logits), count - chosen, 2, device=logits.device, dtype=logits.dtype)
    return torch.cat([kept, random], 1)
