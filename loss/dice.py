"""Soft Dice loss of softmax probabilities (V-Net, Milletari et al., arXiv 1606.04797), alone and with cross-entropy.

Overlaps are taken per class over the whole batch. `dc` averages 1 - Dice over all classes, with 0 for those that the
labels do not have. `dc_ce` and `dc_topk` are the compound losses of nnU-Net (Isensee et al., Nature Methods 2021):
cross-entropy, or its hardest tenth, minus the mean Dice of all classes but the first, where absent classes have Dice 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from loss.base import PixelLoss, pixel_nll, valid_mean
from loss.registry import register
from loss.topk import TopKLoss

EPSILON = 1e-7  # least denominator of an overlap
NNUNET_EPSILON = 1e-8  # added to it there


class Overlap(NamedTuple):
    """Sums over valid pixels of each class (K,) float64: p y, p and y, p the probability and y the one-hot label."""

    both: Tensor
    predicted: Tensor
    true: Tensor


@register('dc')
class DiceLoss(PixelLoss):
    """Mean over classes of 1 - 2 sum(p y) / (sum p + sum y), 0 for classes that the labels do not have."""

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        both, predicted, true = class_overlap(logits, labels, valid)
        loss = 1 - 2 * both / (predicted + true).clamp(min=EPSILON)
        return {'dice': (loss * (true > 0)).mean().to(logits.dtype)}


@register('dc_ce')
class DiceCrossEntropyLoss(PixelLoss):
    """Cross-entropy minus the mean Dice of the classes but the first; between -1 and infinity."""

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        dice = negative_dice(logits, labels, valid)
        return {'ce': valid_mean(pixel_nll(logits, labels), valid), 'dice': dice}


@register('dc_topk', share='topk_share')
class DiceTopKLoss(TopKLoss):
    """The mean cross-entropy of the hardest pixels minus the mean Dice of the classes but the first."""

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        return {**super().terms(logits, labels, valid), 'dice': negative_dice(logits, labels, valid)}


def negative_dice(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Minus the mean soft Dice of classes 1 to K - 1, in [-1, 0]; of class 0 where there is no other."""
    both, predicted, true = class_overlap(logits, labels, valid)
    dice = 2 * both / (predicted + true + NNUNET_EPSILON)
    return -dice[min(1, len(dice) - 1) :].mean().to(logits.dtype)


def class_overlap(logits: Tensor, labels: Tensor, valid: Tensor) -> Overlap:
    """The Overlap of softmax probabilities (from logits (N, K, H, W)) and labels (N, H, W), over valid pixels."""
    probabilities = logits.softmax(1)
    bins = labels.clamp(min=0)
    of_truth = probabilities.gather(1, bins.unsqueeze(1)).squeeze(1)
    # float64: two million numbers are added one by one
    nothing = torch.zeros(logits.shape[1], dtype=torch.float64, device=logits.device)
    bins, counted = bins.flatten(), valid.flatten().double()
    both = nothing.index_add(0, bins, of_truth.flatten().double() * counted)
    true = nothing.index_add(0, bins, counted)
    predicted = (probabilities * valid.unsqueeze(1)).sum((2, 3)).double().sum(0)
    return Overlap(both, predicted, true)
