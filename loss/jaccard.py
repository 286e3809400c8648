"""Soft Jaccard loss of softmax probabilities (Rahman and Wang, ISVC 2016): one minus intersection over union."""

from torch import Tensor

from loss.base import PixelLoss
from loss.dice import EPSILON, class_overlap
from loss.registry import register


@register('jaccard')
class JaccardLoss(PixelLoss):
    """Mean over classes of 1 - sum(p y) / (sum p + sum y - sum(p y)), 0 for classes that the labels do not have.

    Sums go over the valid pixels of the whole batch.
    """

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        both, predicted, true = class_overlap(logits, labels, valid)
        loss = 1 - both / (predicted + true - both).clamp(min=EPSILON)
        return {'jaccard': (loss * (true > 0)).mean().to(logits.dtype)}
