"""Multilabel losses: every class is a yes or no of its own, with a sigmoid; labels may be known in part.

Labels are (N, K, H, W) of 0, 1 and the ignore label, or a class map (N, H, W), whose classes exclude each other and
whose ignored pixels are unknown for every class. A class that is ignored in a whole image is not labelled there: the
forms `bce_pl`, `dc_pl` and `jl_pl` are averages over the pairs of image and class that are.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from loss.base import PixelLoss, full_precision
from loss.checks import check_shapes
from loss.dice import EPSILON, Overlap
from loss.registry import register

PIXELS, BATCH, ALL = (2, 3), (0, 2, 3), (0, 1, 2, 3)  # what sums go over: of each image and class, of each class


class MultilabelLoss(PixelLoss):
    """criterion(logits (N, K, H, W), labels (N, K, H, W) or (N, H, W)) -> scalar, the sum of the terms."""

    def prepare(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits in full precision, where a class is (N, K, H, W), and where that is known, both bool."""
        check_shapes(logits, labels[:, 0] if labels.shape == logits.shape else labels, self.num_classes)
        labels = labels.long()
        if labels.dim() == 4:
            known = ((labels == 0) | (labels == 1)) & (labels != self.ignore_label)
            return full_precision(logits), (labels == 1) & known, known
        truth = labels.unsqueeze(1) == torch.arange(self.num_classes, device=labels.device).view(-1, 1, 1)
        known = self.counts(labels).unsqueeze(1).expand_as(truth)
        return full_precision(logits), truth & known, known


@register('mlbce')
class MultilabelBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the known entries."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {'mlbce': mean_entropy(logits, truth, known, ALL)}


@register('sbce')
class SparseBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the pixels of each image and class, for classes that few images have.

    The sum of these means is divided by the number of pairs that have a pixel of the class or one predicted as it.
    """

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        means = mean_entropy(logits, truth, known, PIXELS)
        seen = ((truth | (logits.detach() > 0)) & known).flatten(2).any(2)
        return {'sbce': means.sum() / seen.sum().clamp(min=1)}


@register('bce_pl')
class PartialBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the known pixels of each image and class, summed over images and classes."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {'bce_pl': mean_entropy(logits, truth, known, PIXELS).sum()}


@register('mldc', smooth='overlap_smooth')
class MultilabelDiceLoss(MultilabelLoss):
    """Mean over classes of 1 - Dice, sums over the batch; 0 for classes that the labels do not have.

    smooth is added to both sides of the fraction; the framework's smoothed forms have 0.1.
    """

    def __init__(self, num_classes: int, ignore_label: int = 255, smooth: float = 0.0):
        super().__init__(num_classes, ignore_label)
        self.smooth = smooth

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {'mldc': one_minus_dice(binary_overlap(logits, truth, known, BATCH), self.smooth).mean()}


@register('mljl', smooth='overlap_smooth')
class MultilabelJaccardLoss(MultilabelDiceLoss):
    """Mean over classes of 1 - Jaccard index, else as MultilabelDiceLoss."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {'mljl': one_minus_jaccard(binary_overlap(logits, truth, known, BATCH), self.smooth).mean()}


@register('mlbcejl', smooth='overlap_smooth')
class MultilabelBCEJaccardLoss(MultilabelJaccardLoss):
    """Half MultilabelBCELoss and half MultilabelJaccardLoss."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        entropy = mean_entropy(logits, truth, known, ALL)
        return {'mlbce': entropy / 2, 'mljl': super().terms(logits, truth, known)['mljl'] / 2}


@register('dc_pl', smooth='overlap_smooth')
class PartialDiceLoss(MultilabelDiceLoss):
    """1 - Dice of each image and class, mean over the pairs that are labelled."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        losses = one_minus_dice(binary_overlap(logits, truth, known, PIXELS), self.smooth)
        return {'dc_pl': losses.sum() / known.flatten(2).any(2).sum().clamp(min=1)}


@register('jl_pl', smooth='overlap_smooth')
class PartialJaccardLoss(MultilabelDiceLoss):
    """1 - Jaccard index of each image and class, mean over those that are labelled times the share of them."""

    def terms(self, logits: Tensor, truth: Tensor, known: Tensor) -> dict[str, Tensor]:
        return {'jl_pl': one_minus_jaccard(binary_overlap(logits, truth, known, PIXELS), self.smooth).mean()}


def mean_entropy(logits: Tensor, truth: Tensor, known: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Binary cross-entropy, mean over the known entries along `dims`; 0 where there are none."""
    return (F.softplus(torch.where(truth, -logits, logits)) * known).sum(dims) / known.sum(dims).clamp(min=1)


def binary_overlap(logits: Tensor, truth: Tensor, known: Tensor, dims: tuple[int, ...]) -> Overlap:
    """The Overlap of sigmoid probabilities and labels, summed over the known entries along `dims`."""
    probabilities = logits.sigmoid() * known
    return Overlap((probabilities * truth).sum(dims), probabilities.sum(dims), truth.sum(dims))


def one_minus_dice(overlap: Overlap, smooth: float) -> Tensor:
    fraction = (2 * overlap.both + smooth) / (overlap.predicted + overlap.true + smooth).clamp(min=EPSILON)
    return (1 - fraction) * (overlap.true > 0)


def one_minus_jaccard(overlap: Overlap, smooth: float) -> Tensor:
    union = overlap.predicted + overlap.true - overlap.both
    return (1 - (overlap.both + smooth) / (union + smooth).clamp(min=EPSILON)) * (overlap.true > 0)
