"""Cross-entropy criteria: plain, class-weighted, weighted by each image's class balance, and the sums of validation.

All compute in float32 (float64 for float64 logits) whatever autocast says. Labels outside [0, K) and the ignore label
do not count; where nothing counts the loss is 0 with zero gradient, not nan. Sums are taken over per-pixel maps:
torch's own reductions have no deterministic form on a GPU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loss.checks import check_shapes, checked_weights

IGNORED = -100  # what F.cross_entropy skips by default


class CrossEntropyLoss(nn.Module):
    """Mean cross-entropy over valid pixels of logits (N, K, H, W), labels (N, H, W); weighted: sum(w nll) / sum(w)."""

    part = 'ce'
    class_weights: Tensor | None

    def __init__(self, num_classes: int, ignore_label: int = 255, class_weights=None):
        super().__init__()
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.register_buffer('class_weights', checked_weights(class_weights, num_classes), persistent=False)
        self.parts: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_shapes(logits, labels, self.num_classes)
        with torch.autocast(logits.device.type, enabled=False):
            logits, labels, valid = _prepare(logits, labels, self.num_classes, self.ignore_label)
            weights = None if self.class_weights is None else self.class_weights.to(logits)
            total = F.cross_entropy(logits, labels, weight=weights, ignore_index=IGNORED, reduction='none').sum()
            count = valid.sum().to(total.dtype) if weights is None else (weights[labels.clamp(min=0)] * valid).sum()
            loss = total / torch.where(count > 0, count, 1)
        self.parts = {self.part: loss.detach()}
        return loss


class ImageWeightedCrossEntropyLoss(nn.Module):
    """Cross-entropy weighted by each image's own class balance, mean over the images that have a valid pixel.

    With h_c the share of class c among the image's valid pixels, w_c = 1 + bound * (1 - h_c) where the class occurs; an
    image's loss is sum(w nll) / sum(w). batch_weighting takes the shares over the whole batch instead.
    """

    part = 'img_wt'

    def __init__(self, num_classes: int, ignore_label: int = 255, bound: float = 1.0, batch_weighting: bool = False):
        super().__init__()
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.bound = bound
        self.batch_weighting = batch_weighting
        self.parts: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_shapes(logits, labels, self.num_classes)
        with torch.autocast(logits.device.type, enabled=False):
            logits, labels, valid = _prepare(logits, labels, self.num_classes, self.ignore_label)
            weights = self.image_weights(labels, valid).to(logits.dtype)
            labels = labels.flatten(1)
            per_pixel = weights.gather(1, labels.clamp(min=0)) * valid.flatten(1)
            nll = F.cross_entropy(logits.flatten(2), labels, ignore_index=IGNORED, reduction='none')
            total, weight = (per_pixel * nll).sum(1), per_pixel.sum(1)
            used = weight > 0
            loss = (total / torch.where(used, weight, 1)).sum() / used.sum().clamp(min=1)
        self.parts = {self.part: loss.detach()}
        return loss

    def image_weights(self, labels: Tensor, valid: Tensor) -> Tensor:
        """Weights (N, K) float64 from labels (N, H, W) int64; valid bool."""
        bins = labels.where(valid, self.num_classes).flatten(1)
        counts = bins.new_zeros(len(bins), self.num_classes + 1).scatter_add_(1, bins, torch.ones_like(bins))
        counts = counts[:, : self.num_classes].double()  # the last bin holds invalid pixels
        if self.batch_weighting:
            counts = counts.sum(0, keepdim=True).expand_as(counts)
        share = counts / counts.sum(1, keepdim=True).clamp(min=1)
        return 1 + (counts > 0) * self.bound * (1 - share)


def _prepare(logits: Tensor, labels: Tensor, num_classes: int, ignore_label: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits in float32 or float64, labels int64 with IGNORED where they do not count, and where they do (bool)."""
    labels = labels.long()
    valid = (labels >= 0) & (labels < num_classes) & (labels != ignore_label)
    if logits.dtype != torch.float64:
        logits = logits.float()
    return logits, labels.masked_fill(~valid, IGNORED), valid
