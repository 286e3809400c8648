"""Lovasz-softmax loss (Berman et al., CVPR 2018, arXiv 1705.08790): a convex surrogate of the Jaccard loss.

The errors of a class, |y - p| at every pixel, are sorted; their weighted sum is the loss, and the weight of the i-th is
by how much the Jaccard loss grows when the i-th pixel turns wrong after those before it. Weights are constants of the
gradient, so the loss is one product of the probabilities with a map that no gradient flows through.
"""

import torch
from torch import Tensor

from loss.base import PixelLoss
from loss.registry import register


@register('lovasz')
class LovaszLoss(PixelLoss):
    """Mean over the classes that the labels have, over the valid pixels of the whole batch."""

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        probabilities = logits.softmax(1)
        with torch.no_grad():
            slopes, constant, present = (
                torch.empty_like(probabilities),
                logits.new_zeros(()),
                torch.zeros_like(valid.sum()),
            )
            for c in range(self.num_classes):
                true = labels == c
                weights = jaccard_growth((true.to(logits.dtype) - probabilities[:, c]).abs(), true, valid)
                slopes[:, c] = torch.where(true, -weights, weights)
                constant += (weights * true).sum()
                present += true.any()
        return {'lovasz': ((probabilities * slopes).sum() + constant) / present.clamp(min=1)}


def jaccard_growth(errors: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """The weight of every pixel's error for one class (N, H, W); all 0 without a pixel of the class.

    errors: |y - p| in [0, 1]; true: where the label is the class; valid: where labels count (bool).
    """
    order = errors.masked_fill(~valid, -1).flatten().argsort(descending=True)
    true = true.flatten()[order]
    count = true.sum()
    left = count - true.cumsum(0)  # true pixels that are still right: the intersection
    union = count + (~true).cumsum(0)
    # A true pixel takes 1 from the intersection, another one adds 1 to the union: differences without cancellation.
    growth = torch.where(true, 1 / union, left / (union * (union - 1).clamp(min=1)))
    weights = torch.empty_like(errors).flatten()
    weights[order] = growth.to(errors.dtype)
    return weights.view(errors.shape) * valid
