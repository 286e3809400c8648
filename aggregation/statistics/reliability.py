"""Reliability of confidences: calibration errors, proper scores, sparsification, all from streaming sums."""

import numpy as np
import torch
from torch import Tensor

from aggregation.statistics.levels import ECE_BINS, LevelCounts, from_levels, to_levels
from aggregation.tensors import bands


class Reliability:
    """Sums over labelled pixels of any number of images.

    counts: LevelCounts of the confidence, positive where the label is right; nll and brier: sums over pixels; by_class
    (3, K, bins): pixels, summed probability and pixels of the class, by class and bin of its probability.
    """

    def __init__(self, num_classes: int, bins: int = ECE_BINS, by_class=True):
        """by_class=False leaves the class-wise error out, which is most of the work."""
        self.num_classes, self.bins = num_classes, bins
        self.counts = LevelCounts()
        self.pixels, self.nll, self.brier = 0, 0.0, 0.0
        self.by_class = np.zeros((3, num_classes, bins)) if by_class else None

    def update(self, probabilities: Tensor, prediction: Tensor, confidence: Tensor, truth: Tensor):
        """Enter an image; pixels whose truth is outside [0, K) do not count.

        Args:
            probabilities: (K, H, W) that sum to 1.
            prediction, truth: (H, W).
            confidence: (H, W) in [0, 1].
        """
        known = (truth >= 0) & (truth < self.num_classes)
        levels = to_levels(confidence[known].cpu().numpy())
        self.counts.add(LevelCounts.of(levels, (prediction[known] == truth[known]).cpu().numpy()))
        for here in bands(self.num_classes, tuple(truth.shape)):
            label = truth[here][known[here]].long()
            if len(label):
                self._add(probabilities[:, here][:, known[here]], label)

    def _add(self, p, label):
        """Enter p (K, n) and label (n,)."""
        of_label = p.gather(0, label[None])[0]
        self.pixels += len(label)
        self.nll -= float(of_label.clamp_min(torch.finfo(torch.float32).tiny).log().sum(dtype=torch.float64))
        self.brier += float((p.square().sum(0) - 2 * of_label + 1).sum(dtype=torch.float64))
        if self.by_class is not None:
            self._count_classes(p, label)

    def _count_classes(self, p, label):
        place = (p * self.bins).long().clamp_(max=self.bins - 1)
        place += torch.arange(self.num_classes, device=p.device)[:, None] * self.bins
        size = self.num_classes * self.bins
        here = place.gather(0, label[None])[0]
        found = [
            torch.bincount(place.flatten(), minlength=size),
            torch.bincount(place.flatten(), p.flatten().double(), size),
            torch.bincount(here, minlength=size),
        ]
        self.by_class += torch.stack([one.double() for one in found]).view(3, self.num_classes, self.bins).cpu().numpy()

    def scores(self) -> dict[str, float]:
        """ece, adaptive_ece, classwise_ece, nll (nats), brier, ause and the ranking scores; nan without pixels."""
        pixels = self.pixels or np.nan
        classwise = {} if self.by_class is None else {'classwise_ece': self.classwise_ece()}
        return {
            **self.counts.scores(),
            'adaptive_ece': adaptive_ece(self.counts),
            **classwise,
            'nll': self.nll / pixels,
            'brier': self.brier / pixels,
            'ause': ause(self.counts),
        }

    def classwise_ece(self) -> float:
        """The mean over classes of the calibration error of each class's probability (Kull et al., NeurIPS 2019)."""
        _, claimed, correct = self.by_class
        return float((np.abs(claimed - correct).sum(1) / self.pixels).mean()) if self.pixels else np.nan


def adaptive_ece(counts: LevelCounts, bins: int = ECE_BINS) -> float:
    """Calibration error over bins of equal numbers of pixels (Nguyen & O'Connor, EMNLP 2015).

    A level is never split.
    """
    occupied = np.flatnonzero(counts.totals)
    if not len(occupied):
        return np.nan
    totals, positives = counts.totals[occupied], counts.positives[occupied]
    middle = np.cumsum(totals) - totals / 2
    starts = np.unique(np.searchsorted(middle, np.linspace(0, totals.sum(), bins, endpoint=False)))
    claimed = np.add.reduceat(totals * from_levels(occupied), starts[starts < len(occupied)])
    correct = np.add.reduceat(positives, starts[starts < len(occupied)])
    return float(np.abs(claimed - correct).sum() / totals.sum())


def risk_coverage(counts: LevelCounts) -> tuple[np.ndarray, np.ndarray]:
    """(coverage, risk): the share of errors among the most confident pixels, down to every level that occurs."""
    order = np.flatnonzero(counts.totals)[::-1]
    kept = np.cumsum(counts.totals[order])
    wrong = np.cumsum(counts.totals[order] - counts.positives[order])
    return kept / max(kept[-1] if len(kept) else 1, 1), wrong / kept


def ause(counts: LevelCounts) -> float:
    """Area between the sparsification curve and its oracle (Ilg et al., ECCV 2018): 0 when all errors are least
    confident.

    The curve is the share of errors left after removing the least confident pixels, over the share removed. Pixels of
    one level go in random order: their errors leave evenly, so that wrong(c), the wrong share of all pixels at coverage
    c, is a line a + b c between levels, and its area the integral of wrong(c) / c. nan without pixels.
    """
    coverage, risk = risk_coverage(counts)
    if not len(coverage):
        return np.nan
    wrong = risk * coverage
    slope = np.diff(wrong, prepend=0.0) / np.diff(coverage, prepend=0.0)
    start = (wrong - slope * coverage)[1:]  # a; the first level begins at (0, 0)
    area = slope @ np.diff(coverage, prepend=0.0) + start @ np.diff(np.log(coverage))
    error = risk[-1]
    # the oracle removes errors first: at coverage c > 1 - error it keeps (c - (1 - error)) / c of them
    oracle = error + (1 - error) * np.log1p(-error) if error < 1 else 1.0
    return float(area - oracle)
