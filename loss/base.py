"""Base of the losses of pixels: checked shapes, full precision, labels that do not count, and named parts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loss.checks import check_shapes

IGNORED = -100  # what F.cross_entropy skips by default


class PixelLoss(nn.Module):
    """criterion(logits (N, K, H, W), labels (N, H, W)) -> scalar, the sum of what `terms` returns.

    Everything is computed in float32 (float64 for float64 logits) whatever autocast says. Labels outside [0, K) and the
    ignore label do not count and get no gradient; where nothing counts the loss is finite with zero gradient. `.parts`
    holds the terms of the last call by name, detached.
    """

    def __init__(self, num_classes: int, ignore_label: int = 255):
        super().__init__()
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        self.parts: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.terms(*self.prepare(logits, labels))
        self.parts = {name: term.detach() for name, term in terms.items()}
        first, *others = terms.values()
        return sum(others, first)

    def prepare(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits in full precision, labels int64 with IGNORED where they do not count, and where they do (bool)."""
        check_shapes(logits, labels, self.num_classes)
        labels = labels.long()
        valid = self.counts(labels)
        return full_precision(logits), labels.masked_fill(~valid, IGNORED), valid

    def counts(self, labels: Tensor) -> Tensor:
        """Where int64 labels are a class, bool."""
        return (labels >= 0) & (labels < self.num_classes) & (labels != self.ignore_label)

    def terms(self, logits: Tensor, labels: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Scalars by name, from what `prepare` returns."""
        raise NotImplementedError


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32; float64 stays."""
    return logits if logits.dtype == torch.float64 else logits.float()


def pixel_nll(logits: Tensor, labels: Tensor, **options) -> Tensor:
    """Minus the log-probability of each pixel's class (N, H, W), 0 where it is IGNORED; options of F.cross_entropy.

    Losses sum this map themselves: torch's own reductions have no deterministic form on a GPU.
    """
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction='none', **options)


def valid_mean(per_pixel: Tensor, valid: Tensor) -> Tensor:
    """The sum of a map (N, H, W) that is 0 at ignored pixels, divided by the number of valid ones; 0 without any."""
    return per_pixel.sum() / valid.sum().clamp(min=1)
