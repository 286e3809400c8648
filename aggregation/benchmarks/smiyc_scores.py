"""Scores of SegmentMeIfYouCan (Chan et al., NeurIPS 2021, arXiv 2104.14812): unknown objects, by pixel and component.

Labels are 0 (known, or road), 1 (anomaly, obstacle) and anything else void; only known and anomalous pixels count.
A score is high where a pixel is anomalous. Pixel scores come from each frame's own thresholds (the quantiles of its
scores), so a frame adds at most about 770 points and frames can be many; the best of all thresholds then cuts
components. Binning, strictness of comparisons and order of steps are those of the public suite.
"""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

POINTS = 384  # quantiles per frame of each, anomalous and known pixels
EIGHT = 8  # connectivity of components
OVERLAPS = np.round(np.arange(0.25, 0.751, 0.05), 2)


class Track(NamedTuple):
    """Smallest component, in pixels, of a prediction and of the ground truth."""

    predicted: int
    true: int


TRACKS = {'anomaly': Track(500, 100), 'obstacle': Track(50, 10)}


class FramePoints(NamedTuple):
    """Per threshold of a frame, from the lowest: anomalous (tp) and known (fp) pixels from it to the next one."""

    thresholds: np.ndarray
    true: np.ndarray
    false: np.ndarray


def frame_points(scores: np.ndarray, labels: np.ndarray) -> FramePoints | None:
    """The points of one frame: scores float (H, W), labels (H, W). None for a frame without a pixel that counts."""
    scores = scores.astype(np.float32)
    anomalous, known = scores[labels == 1], scores[labels == 0]
    if not len(anomalous) and not len(known):
        return None
    both = np.concatenate([anomalous, known])
    margin = max(0.01 * (float(both.max()) - float(both.min())), 0.01)
    edges = [np.array([both.min() - margin, both.max() + margin], np.float64)]
    edges += [
        np.quantile(part.astype(np.float64), np.linspace(0, 1, min(POINTS, len(part))))
        for part in (anomalous, known)
        if len(part)
    ]
    edges = np.unique(np.concatenate(edges))
    return FramePoints(edges[:-1], np.histogram(anomalous, edges)[0], np.histogram(known, edges)[0])


class PixelScores(NamedTuple):
    """Scores over all frames; best_f1 is reached at best_threshold."""

    aupr: float
    fpr95: float
    auroc: float
    best_f1: float
    best_threshold: float


class PixelPoints:
    """The points of all frames from the highest threshold down, so that frames can be drawn again and again."""

    def __init__(self, frames):
        """frames: FramePoints, None where nothing counts. ValueError without an anomalous or without a known pixel."""
        drawn = [(number, frame) for number, frame in enumerate(frames) if frame is not None]
        thresholds, true, false = (
            (np.concatenate(parts) for parts in zip(*(frame for _, frame in drawn))) if drawn else (np.empty(0),) * 3
        )
        if not true.sum() or not false.sum():
            raise ValueError(
                f'{len(drawn)} frames with {int(true.sum())} anomalous and {int(false.sum())} known pixels cannot be'
                ' scored; give labels that hold both 1 and 0'
            )
        order = np.argsort(-thresholds, kind='stable')
        self.thresholds, self.true, self.false = thresholds[order], true[order], false[order]
        self.frame = np.repeat([number for number, _ in drawn], [len(frame.true) for _, frame in drawn])[order]

    def scores(self, times: np.ndarray | None = None) -> PixelScores:
        """The scores over all frames; nan without an anomalous or a known pixel.

        times (frames,): with every frame drawn so often.
        """
        if times is None:
            return _pixel_scores(self.thresholds, self.true, self.false)
        times = np.asarray(times, np.int64)[self.frame]
        here = times > 0
        return _pixel_scores(self.thresholds[here], (self.true * times)[here], (self.false * times)[here])


def _pixel_scores(thresholds, true, false) -> PixelScores:
    """thresholds descend."""
    if not true.sum() or not false.sum():
        return PixelScores(*(np.nan,) * 5)
    true, false = np.cumsum(true), np.cumsum(false)
    complete = np.append(np.diff(thresholds) != 0, True)  # the last entry of each threshold has all of it
    complete[0] = True
    thresholds, true, false = thresholds[complete], true[complete], false[complete]
    total_true, total_false = true[-1], false[-1]

    f1 = 2 * true / (true + false + total_true)  # 2 TP + FP + FN = TP + FP + P
    best = int(np.argmax(f1))
    true, false = np.append(0, true), np.append(0, false)
    found = true + false
    precision = np.divide(true, found, out=np.ones(len(true)), where=found > 0)
    tpr, fpr = true / total_true, false / total_false
    first = np.searchsorted(tpr, 0.95, side='left')
    return PixelScores(
        aupr=float(np.diff(tpr) @ precision[1:]),
        fpr95=float(fpr[first]) if first < len(fpr) else 1.0,
        auroc=float(np.diff(fpr) @ (tpr[1:] + tpr[:-1]) / 2),
        best_f1=float(f1[best]),
        best_threshold=float(thresholds[best]),
    )


class Overlaps(NamedTuple):
    """Of a frame: adjusted IoU of every true component, precision of every predicted one (Chan et al., eq. 3, 5)."""

    siou: list[float]
    ppv: list[float]


def overlaps(scores: np.ndarray, labels: np.ndarray, threshold: float, track: Track) -> Overlaps:
    """The Overlaps of a frame.

    Args:
        scores: float (H, W).
        labels: (H, W).
        threshold: predicted is what scores strictly above it.
        track: smallest components that count.
    """
    counted = (labels == 0) | (labels == 1)
    predicted = _components((scores.astype(np.float32) > np.float32(threshold)) & counted)
    true = _components(labels == 1)
    predicted = _without_small(predicted, track.predicted)
    small = _small(true, track.true)
    counted &= ~small[true]  # what is too small is void, even a small background
    true, predicted = true[counted], predicted[counted]

    pairs = np.zeros((true.max(initial=0) + 1, predicted.max(initial=0) + 1), np.int64)
    np.add.at(pairs, (true, predicted), 1)
    siou = [_adjusted_iou(pairs, component) for component in np.flatnonzero(pairs.sum(1)) if component]
    sizes = pairs.sum(0)
    present = np.flatnonzero(sizes)
    present = present[present > 0]
    return Overlaps(siou, (pairs[1:, present].sum(0) / sizes[present]).tolist())


class Components:
    """The Overlaps of all frames, in order, so that frames can be drawn again and again."""

    def __init__(self, track: Track, frames: Iterable[Overlaps]):
        self.track, frames = track, list(frames)
        self.siou = [value for frame in frames for value in frame.siou]
        self.ppv = [value for frame in frames for value in frame.ppv]
        self._lengths = [(len(frame.siou), len(frame.ppv)) for frame in frames]

    def scores(self, times: np.ndarray | None = None) -> dict[str, float]:
        """mean F1 over the overlaps 0.25 to 0.75, mean sIoU, mean PPV; nan where there is no component to average over.

        times (frames,): with every frame drawn so often.
        """
        times = np.ones(len(self._lengths), np.int64) if times is None else np.asarray(times, np.int64)
        of_siou, of_ppv = (np.repeat(times, lengths) for lengths in np.array(self._lengths, int).reshape(-1, 2).T)
        siou, ppv = np.array(self.siou), np.array(self.ppv)
        f1 = []
        for overlap in OVERLAPS:
            hits, misses, alarms = (
                int(counts.sum())
                for counts in (of_siou[siou >= overlap], of_siou[siou < overlap], of_ppv[ppv < overlap])
            )
            f1.append(2 * hits / (2 * hits + misses + alarms) if hits + misses + alarms else np.nan)
        return {'f1_mean': float(np.mean(f1)), 'siou': _mean(siou, of_siou), 'ppv': _mean(ppv, of_ppv)}

    def notes(self) -> list[str]:
        """Which of the scores are not defined, and why."""
        told = []
        if not self.siou:
            told.append(
                f'sIoU {"and mean F1 are" if not self.ppv else "is"} not defined: no true component has'
                f' {self.track.true} pixels'
            )
        if not self.ppv:
            told.append(f'PPV is not defined: no predicted component has {self.track.predicted} pixels')
        return told


def _mean(values: np.ndarray, times: np.ndarray) -> float:
    return float(values @ times / times.sum()) if times.any() else np.nan


def _adjusted_iou(pairs: np.ndarray, component: int) -> float:
    """|k and K| / (|k or K| - |A|), K: predictions that touch component k, A: their part in other true components."""
    touching = np.flatnonzero(pairs[component])
    touching = touching[touching > 0]
    if not len(touching):
        return 0.0
    both = pairs[component, touching].sum()
    inside = pairs[1:, touching].sum() - both
    return float(both / (pairs[component].sum() + pairs[:, touching].sum() - both - inside))


def _components(mask: np.ndarray) -> np.ndarray:
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=EIGHT, ltype=cv2.CV_32S)[1]


def _small(components: np.ndarray, limit: int) -> np.ndarray:
    """bool by component number, 0 the background: fewer pixels than `limit`."""
    return np.bincount(components.ravel()) < limit


def _without_small(components: np.ndarray, limit: int) -> np.ndarray:
    small = _small(components, limit)
    return np.where(small[components], 0, components)
