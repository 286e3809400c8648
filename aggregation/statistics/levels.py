"""Confidences as 16-bit levels, counted level by level: constant memory for any number of images.

A confidence c in [0, 1] is written as level min(floor(65536 c), 65535) and read as the middle of what gives that
level, (k + 0.5) / 65536: off by 2 ** -17 at most. These are the numbers of the BRAVO toolkit.
"""

import numpy as np

from aggregation.statistics import ranking

LEVELS = 1 << 16
ECE_BINS = 15


def to_levels(confidence: np.ndarray) -> np.ndarray:
    """uint16 levels of confidences in [0, 1]; ValueError for anything outside, nan included."""
    confidence = np.asarray(confidence)
    if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError(
            f'confidences between {confidence.min():g} and {confidence.max():g} cannot be written, expected [0, 1]; '
            'choose a score that is a confidence, or map it to [0, 1] first'
        )
    return np.minimum(np.floor(confidence.astype(np.float64) * LEVELS), LEVELS - 1).astype(np.uint16)


def from_levels(levels: np.ndarray) -> np.ndarray:
    """The confidences float64 that levels stand for."""
    return (np.asarray(levels, np.float64) + 0.5) / LEVELS


def ece_edges(bins: int = ECE_BINS) -> np.ndarray:
    """The first level of each of the bins, and LEVELS: equal shares of [0, 1], rounded to whole levels."""
    return np.round(np.linspace(0, LEVELS, bins + 1)).astype(np.int64)


class LevelCounts:
    """How many pixels have each level (`totals`), and how many of them are positive (`positives`); int64 (65536,)."""

    def __init__(self, shape: tuple = ()):
        """shape: of leading dimensions, for several tallies that are kept side by side."""
        self.positives = np.zeros((*shape, LEVELS), np.int64)
        self.totals = np.zeros((*shape, LEVELS), np.int64)

    @classmethod
    def of(cls, levels: np.ndarray, positive: np.ndarray) -> 'LevelCounts':
        """The counts of one image: levels uint16 and positive bool, of one shape."""
        counts = cls()
        counts.totals = np.bincount(levels.ravel(), minlength=LEVELS)
        counts.positives = np.bincount(levels.ravel()[positive.ravel()], minlength=LEVELS)
        return counts

    def add(self, other: 'LevelCounts'):
        self.positives += other.positives
        self.totals += other.totals

    # A high level is called positive ('success'), or a low level is called negative ('error' is then what is positive).

    def success(self) -> tuple:
        """Arguments of the functions of `ranking`: positives ranked by level, highest first."""
        return self.positives[::-1], self.totals[::-1]

    def error(self) -> tuple:
        """The same for what is not positive, ranked by level, lowest first."""
        return self.totals - self.positives, self.totals

    def ece(self, bins: int = ECE_BINS) -> float:
        """Expected calibration error: |confidence - accuracy| of each bin of levels, weighted by its pixels.

        Naeini et al., AAAI 2015; bins, values of levels and rounding as in the BRAVO toolkit. nan without pixels.
        """
        totals, confidence, accuracy = self.bins(bins)
        if not totals.sum():
            return float('nan')
        # the toolkit's shares are float32: 1e-9 off, and the official score all the same
        shares = (totals / totals.sum()).astype(np.float32).astype(np.float64)
        return float((np.abs(confidence - accuracy) * shares).sum() / shares.sum())

    def bins(self, bins: int = ECE_BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(pixels, mean confidence, accuracy) of each bin of levels, 0 where a bin is empty: the reliability
        diagram."""
        starts = ece_edges(bins)[:-1]
        totals = np.add.reduceat(self.totals, starts)
        claimed = np.add.reduceat(self.totals * from_levels(np.arange(LEVELS)), starts)
        correct = np.add.reduceat(self.positives, starts)
        some = np.maximum(totals, 1)
        return totals, claimed / some, correct / some

    def scores(self) -> dict[str, float]:
        """The measures of a confidence whose positives are correct pixels."""
        return {
            'ece': self.ece(),
            'auroc': ranking.auroc(*self.success()),
            'fpr95': ranking.fpr_at_tpr(*self.success()),
            'auprc_success': ranking.average_precision(*self.success()),
            'auprc_error': ranking.average_precision(*self.error()),
        }
