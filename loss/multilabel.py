"""Multilabel losses: every class is a yes or no of its own, with a sigmoid; labels may be known in part.

Labels are (N, K, H, W) of 0, 1 and the ignore label, or a class map (N, H, W), whose classes exclude each other and
whose ignored pixels are unknown for every class. A class that is ignored in a whole image is not labelled there: the
forms `bce_pl`, `dc_pl` and `jl_pl` are averages over the pairs of image and class that are.
"""

import torch
import torch.nn.functional as F

from loss.base import PixelLoss, full_precision
from loss.checks import check_shapes
from loss.dice import EPSILON, Overlap

PIXELS, BATCH = (2, 3), (0, 2, 3)  # what sums go over: each image and class, or each class


class MultilabelLoss(PixelLoss):
    """criterion(logits (N, K, H, W), labels (N, K, H, W) or (N, H, W)) -> scalar, the sum of the terms."""

    def forward(self, logits, labels):
        check_shapes(logits, labels[:, 0] if labels.shape == logits.shape else labels, self.num_classes)
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.terms(full_precision(logits), *self._targets(labels.long()))
        self.parts = {name: term.detach() for name, term in terms.items()}
        return sum(terms.values())

    def _targets(self, labels):
        """Where a class is (N, K, H, W) and where that is known, of the same shape, both bool."""
        if labels.dim() == 4:
            known = (labels != self.ignore_label) & ((labels == 0) | (labels == 1))
            return (labels == 1) & known, known
        known = (labels >= 0) & (labels < self.num_classes) & (labels != self.ignore_label)
        truth = labels.unsqueeze(1) == torch.arange(self.num_classes, device=labels.device).view(-1, 1, 1)
        known = known.unsqueeze(1).expand_as(truth)
        return truth & known, known


class MultilabelBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the known entries."""

    def terms(self, logits, truth, known):
        return {'mlbce': binary_entropy(logits, truth, known).sum() / known.sum().clamp(min=1)}


class SparseBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the pixels of each image and class, for classes that few images have.

    The sum of these means is divided by the number of pairs that have a pixel of the class or one predicted as it.
    """

    def terms(self, logits, truth, known):
        means = binary_entropy(logits, truth, known).sum(PIXELS) / known.sum(PIXELS).clamp(min=1)
        seen = ((truth | (logits.detach() > 0)) & known).flatten(2).any(2)
        return {'sbce': means.sum() / seen.sum().clamp(min=1)}


class PartialBCELoss(MultilabelLoss):
    """Binary cross-entropy, mean over the known pixels of each image and class, summed over images and classes."""

    def terms(self, logits, truth, known):
        means = binary_entropy(logits, truth, known).sum(PIXELS) / known.sum(PIXELS).clamp(min=1)
        return {'bce_pl': means.sum()}


class MultilabelDiceLoss(MultilabelLoss):
    """Mean over classes of 1 - Dice, sums over the batch; 0 for classes that the labels do not have.

    smooth is added to both sides of the fraction; the framework's smoothed forms have 0.1.
    """

    def __init__(self, num_classes, ignore_label=255, smooth=0.0):
        super().__init__(num_classes, ignore_label)
        self.smooth = smooth

    def terms(self, logits, truth, known):
        return {'mldc': one_minus_dice(binary_overlap(logits, truth, known, BATCH), self.smooth).mean()}


class MultilabelJaccardLoss(MultilabelDiceLoss):
    """Mean over classes of 1 - Jaccard index, else as MultilabelDiceLoss."""

    def terms(self, logits, truth, known):
        return {'mljl': one_minus_jaccard(binary_overlap(logits, truth, known, BATCH), self.smooth).mean()}


class MultilabelBCEJaccardLoss(MultilabelJaccardLoss):
    """Half MultilabelBCELoss and half MultilabelJaccardLoss."""

    def terms(self, logits, truth, known):
        terms = {**MultilabelBCELoss.terms(self, logits, truth, known), **super().terms(logits, truth, known)}
        return {name: term / 2 for name, term in terms.items()}


class PartialDiceLoss(MultilabelDiceLoss):
    """1 - Dice of each image and class, mean over the pairs that are labelled."""

    def terms(self, logits, truth, known):
        losses = one_minus_dice(binary_overlap(logits, truth, known, PIXELS), self.smooth)
        return {'dc_pl': losses.sum() / known.flatten(2).any(2).sum().clamp(min=1)}


class PartialJaccardLoss(MultilabelDiceLoss):
    """1 - Jaccard index of each image and class, mean over those that are labelled times the share of them."""

    def terms(self, logits, truth, known):
        return {'jl_pl': one_minus_jaccard(binary_overlap(logits, truth, known, PIXELS), self.smooth).mean()}


def binary_entropy(logits, truth, known):
    """Binary cross-entropy of every entry (N, K, H, W), 0 where it is not known."""
    return F.softplus(torch.where(truth, -logits, logits)) * known


def binary_overlap(logits, truth, known, dims):
    """The Overlap of sigmoid probabilities and labels, summed over the known entries along `dims`."""
    probabilities = logits.sigmoid() * known
    return Overlap((probabilities * truth).sum(dims), probabilities.sum(dims), truth.sum(dims))


def one_minus_dice(overlap, smooth):
    fraction = (2 * overlap.both + smooth) / (overlap.predicted + overlap.true + smooth).clamp(min=EPSILON)
    return (1 - fraction) * (overlap.true > 0)


def one_minus_jaccard(overlap, smooth):
    union = overlap.predicted + overlap.true - overlap.both
    return (1 - (overlap.both + smooth) / (union + smooth).clamp(min=EPSILON)) * (overlap.true > 0)
