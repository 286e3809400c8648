"""Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002) of softmax probabilities."""

import torch
from torch import Tensor

from loss.base import PixelLoss, pixel_nll, valid_mean
from loss.registry import register


@register('focal', gamma='focal_gamma')
class FocalLoss(PixelLoss):
    """Mean over valid pixels of (1 - p)^gamma * -log p, p the probability of the true class."""

    def __init__(self, num_classes: int, ignore_label: int = 255, gamma: float = 2.0):
        super().__init__(num_classes, ignore_label)
        self.gamma = gamma

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        nll = pixel_nll(logits, labels)
        # 1 - p without cancellation; not quite 0, where the slope of a power below 1 is infinite
        missing = (-torch.expm1(-nll)).clamp(min=torch.finfo(nll.dtype).tiny)
        return {'focal': valid_mean(missing**self.gamma * nll, valid)}
