"""Cross-entropy of softmax probabilities: plain, with class weights, and weighted by each image's class balance."""

import torch
from torch import Tensor

from loss.base import PixelLoss, pixel_nll
from loss.checks import checked_weights
from loss.registry import register


@register('wce', class_weights='class_weights', smoothing='label_smoothing')
@register('ce', class_weights='class_weights', smoothing='label_smoothing')
class CrossEntropyLoss(PixelLoss):
    """Mean over valid pixels; with class weights sum(w nll) / sum(w), w that of the pixel's class.

    smoothing (Szegedy et al., arXiv 1512.00567, section 7): this share of the truth is spread evenly over all classes.
    """

    class_weights: Tensor | None

    def __init__(self, num_classes: int, ignore_label: int = 255, class_weights=None, smoothing: float = 0.0):
        super().__init__(num_classes, ignore_label)
        self.register_buffer('class_weights', checked_weights(class_weights, num_classes), persistent=False)
        self.smoothing = smoothing

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        total = pixel_nll(logits, labels, weight=weights, label_smoothing=self.smoothing).sum()
        count = valid.sum().to(total.dtype) if weights is None else (weights[labels.clamp(min=0)] * valid).sum()
        return {'ce': total / torch.where(count > 0, count, 1)}


@register('img_wt', bound='wt_bound', batch_weighting='batch_weighting')
class ImageWeightedCrossEntropyLoss(PixelLoss):
    """Cross-entropy weighted by each image's own class balance, mean over the images that have a valid pixel.

    With h_c the share of class c among the image's valid pixels, w_c = 1 + bound * (1 - h_c) where the class occurs; an
    image's loss is sum(w nll) / sum(w). batch_weighting takes the shares over the whole batch instead.
    """

    def __init__(self, num_classes: int, ignore_label: int = 255, bound: float = 1.0, batch_weighting: bool = False):
        super().__init__(num_classes, ignore_label)
        self.bound = bound
        self.batch_weighting = batch_weighting

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        weights = self.image_weights(labels, valid).to(logits.dtype)
        labels = labels.flatten(1)
        per_pixel = weights.gather(1, labels.clamp(min=0)) * valid.flatten(1)
        total, weight = (per_pixel * pixel_nll(logits.flatten(2), labels)).sum(1), per_pixel.sum(1)
        used = weight > 0
        return {'img_wt': (total / torch.where(used, weight, 1)).sum() / used.sum().clamp(min=1)}

    def image_weights(self, labels: Tensor, valid: Tensor) -> Tensor:
        """Weights (N, K) float64 from labels (N, H, W) int64; valid bool."""
        bins = labels.where(valid, self.num_classes).flatten(1)
        counts = bins.new_zeros(len(bins), self.num_classes + 1).scatter_add_(1, bins, torch.ones_like(bins))
        counts = counts[:, : self.num_classes].double()  # the last bin holds invalid pixels
        if self.batch_weighting:
            counts = counts.sum(0, keepdim=True).expand_as(counts)
        share = counts / counts.sum(1, keepdim=True).clamp(min=1)
        return 1 + (counts > 0) * self.bound * (1 - share)
