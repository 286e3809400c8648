"""Scores of a ranking: how well a number tells positives from negatives, from counts per value of that number.

All pixels of one value are one block that no threshold can split. A function takes `positives` and `totals`: how many
of the pixels of each value are positive, and how many pixels it has, from the highest value to the lowest. So a fixed
histogram of 65536 levels streams over any number of images, and `count_blocks` of raw scores is exact.
"""

from typing import NamedTuple

import numpy as np


class Curve(NamedTuple):
    """Numbers of true and false positives when everything down to a value is called positive, (0, 0) in front."""

    true: np.ndarray
    false: np.ndarray

    @property
    def positives(self) -> int:
        return int(self.true[-1])

    @property
    def negatives(self) -> int:
        return int(self.false[-1])


def count_blocks(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(positives, totals, values), one entry per different value of `scores`, highest value first.

    scores: any shape, without nan; positive: bool, the same shape.
    """
    if np.isnan(scores).any():
        raise ValueError('scores to be ranked hold nan; find the model or image that they come from')
    values, place, totals = np.unique(scores.ravel(), return_inverse=True, return_counts=True)
    positives = np.bincount(place.ravel()[positive.ravel()], minlength=len(values))
    return positives[::-1], totals[::-1], values[::-1]


def curve(positives: np.ndarray, totals: np.ndarray) -> Curve:
    """The Curve of counts per value, values without pixels left out."""
    occupied = totals > 0
    positives, totals = positives[occupied].astype(np.int64), totals[occupied].astype(np.int64)
    return Curve(*(np.concatenate([[0], np.cumsum(counts)]) for counts in (positives, totals - positives)))


def auroc(positives: np.ndarray, totals: np.ndarray) -> float:
    """Area under the ROC curve by trapezoids: the chance that a positive ranks above a negative, ties counting half.

    nan when there are no positives or no negatives.
    """
    true, false = line = curve(positives, totals)
    if not line.positives or not line.negatives:
        return float('nan')
    doubled = np.diff(false).astype(np.float64) @ (true[1:] + true[:-1]).astype(np.float64)
    return float(doubled / (2.0 * line.positives * line.negatives))


def fpr_at_tpr(positives: np.ndarray, totals: np.ndarray, tpr: float = 0.95) -> float:
    """The false-positive rate at the first threshold that finds at least `tpr` of the positives, without interpolation.

    nan when there are no positives or no negatives.
    """
    true, false = line = curve(positives, totals)
    if not line.positives or not line.negatives:
        return float('nan')
    first = np.searchsorted(true / line.positives, tpr, side='left')
    return float(false[first] / line.negatives)


def average_precision(positives: np.ndarray, totals: np.ndarray) -> float:
    """The area under precision over recall as a step function; nan when there are no positives."""
    true, false = line = curve(positives, totals)
    if not line.positives:
        return float('nan')
    precision = true[1:] / (true[1:] + false[1:])
    return float(np.diff(true) @ precision / line.positives)
