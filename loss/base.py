"""Pixel losses: what they share - checked shapes, full precision, labels that do not count, and named parts.

All compute in float32 (float64 for float64 logits) whatever autocast says. Labels outside [0, K) and the ignore label
do not count and get no gradient; where nothing counts a loss is finite with zero gradient.
"""

import torch
import torch.nn.functional as F
from torch import nn

from loss.checks import check_shapes

IGNORED = -100  # what F.cross_entropy skips by default


class PixelLoss(nn.Module):
    """criterion(logits (N, K, H, W), labels (N, H, W)) -> scalar, the sum of what `terms` returns.

    `.parts` holds the terms of the last call by name, detached.
    """

    def __init__(self, num_classes, ignore_label=255):
        super().__init__()
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.parts = {}

    def forward(self, logits, labels):
        check_shapes(logits, labels, self.num_classes)
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.terms(*prepare(logits, labels, self.num_classes, self.ignore_label))
        self.parts = {name: term.detach() for name, term in terms.items()}
        return sum(terms.values())

    def terms(self, logits, labels, valid):
        """{name: scalar} from what `prepare` returns."""
        raise NotImplementedError


def prepare(logits, labels, num_classes, ignore_label):
    """Logits in float32 or float64, labels int64 with IGNORED where they do not count, and where they do (bool)."""
    labels = labels.long()
    valid = (labels >= 0) & (labels < num_classes) & (labels != ignore_label)
    return full_precision(logits), labels.masked_fill(~valid, IGNORED), valid


def full_precision(logits):
    """Logits in float32; float64 stays."""
    return logits if logits.dtype == torch.float64 else logits.float()


def pixel_nll(logits, labels, **options):
    """Minus the log-probability of each pixel's class (N, H, W), 0 where it is IGNORED; options of F.cross_entropy.

    Losses sum this map themselves: torch's own reductions have no deterministic form on a GPU.
    """
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction='none', **options)


def valid_mean(per_pixel, valid):
    """The sum of a map (N, H, W) that is 0 at ignored pixels, divided by the number of valid ones; 0 without any."""
    return per_pixel.sum() / valid.sum().clamp(min=1)
