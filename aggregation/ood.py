"""Out-of-distribution scores of anomaly maps: over pixels (streamed or exact), and over components as SegmentMeIfYouCan does.

Masks are 0 (known), 1 (anomaly) and anything else void.
"""
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import numpy as np

from aggregation import ranking, smiyc
from aggregation.score_files import find_scores, read_score
from aggregation.trees import Tree, image_size, read_gray
from utils.progress import progress
from utils.wording import listed

MASK = '_labels_semantic.png'
KEY_BITS = 20                           # of a float32 that the streamed histogram tells apart: 11 bits after the leading one


def ordered_keys(scores: np.ndarray) -> np.ndarray:
    """int64 keys below 2 ** KEY_BITS in the order of float32 scores: the leading bits of the number, made to ascend."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ascending >> (32 - KEY_BITS)).astype(np.int64)


class StreamedCounts:
    """Anomalous and all pixels per key: 16 MiB, whatever the images. Scores that differ by less than 1 in 2000 may share a key."""

    def __init__(self):
        self.positives, self.totals = (np.zeros(1 << KEY_BITS, np.int64) for _ in range(2))

    def add(self, scores: np.ndarray, anomalous: np.ndarray):
        keys = ordered_keys(scores)
        self.totals += np.bincount(keys, minlength=1 << KEY_BITS)
        self.positives += np.bincount(keys[anomalous], minlength=1 << KEY_BITS)

    def blocks(self) -> tuple[np.ndarray, np.ndarray]:
        return self.positives[::-1], self.totals[::-1]


class ExactCounts:
    """Every score is kept (5 bytes per pixel), so nothing is rounded."""

    def __init__(self):
        self._scores, self._anomalous = [], []

    def add(self, scores: np.ndarray, anomalous: np.ndarray):
        self._scores.append(scores)
        self._anomalous.append(anomalous)

    def blocks(self) -> tuple[np.ndarray, np.ndarray]:
        return ranking.count_blocks(np.concatenate(self._scores), np.concatenate(self._anomalous))[:2]


def evaluate(masks, scores, score=None, track=None, exact=False, threads=2, log=None) -> dict:
    """AUROC, AUPR and FPR95 of the maps in `scores` against the masks *_labels_semantic.png in `masks` (folders or tars).

    score: the name of the map when there are several; 'confidence' for the *_conf.png of a submission. track: 'anomaly'
    or 'obstacle' adds the SegmentMeIfYouCan pixel and component scores. Returns {'scores', 'notes'}. Raises ValueError for files that are
    missing or unfit, and for masks without an anomalous or without a known pixel.
    """
    with Tree(masks) as truth, Tree(scores) as found, ThreadPoolExecutor(threads) as pool:
        pairs, notes = pair_masks(truth, find_scores(found, score))
        counts, points = (ExactCounts() if exact else StreamedCounts()), []

        def frame(pair):
            mask, values = _read_pair(truth, found, pair)
            known = (mask == 0) | (mask == 1)
            return values[known], mask[known] == 1, smiyc.frame_points(values, mask) if track else None

        for values, anomalous, of_frame in progress(pool.map(frame, pairs), total=len(pairs), desc='pixels', log=log):
            counts.add(values, anomalous)
            points.append(of_frame)
        blocks = counts.blocks()
        _check_both(masks, len(pairs), int(blocks[0].sum()), int(blocks[1].sum()))
        result = {'images': len(pairs), 'pixels': int(blocks[1].sum()), 'anomalous': int(blocks[0].sum()), 'auroc': ranking.auroc(*blocks),
                  'aupr': ranking.average_precision(*blocks), 'fpr95': ranking.fpr_at_tpr(*blocks)}
        if track:
            pixels = smiyc.pixel_scores(points)
            components = smiyc.Components(smiyc.TRACKS[track])
            for mask, values in progress(pool.map(lambda pair: _read_pair(truth, found, pair), pairs), total=len(pairs), desc='components', log=log):
                components.add(values, mask, pixels.best_threshold)
            result['smiyc'] = {**pixels._asdict(), **components.scores()}
            notes += components.notes()
    return {'scores': result, 'notes': notes}


def _check_both(masks, count: int, anomalous: int, pixels: int):
    if not 0 < anomalous < pixels:
        raise ValueError(f'{masks}: {count} masks hold {anomalous} anomalous pixels (1) and {pixels - anomalous} known ones (0); no score is defined '
                         'without both, give the masks of a whole set')


def pair_masks(truth: Tree, scores: dict[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """([(mask, score file)], notes); ValueError when a mask has no score."""
    masks = {}
    for name in (name for name in truth.names if name.endswith(MASK)):
        stem = PurePosixPath(name).name.removesuffix(MASK)
        if stem in masks:
            raise ValueError(f'{truth.path}: {masks[stem]} and {name} are both masks of {stem}; give the folder of one set')
        masks[stem] = name
    if not masks:
        raise ValueError(f'{truth.path}: holds no masks *{MASK}; give the folder labels_masks')
    missing = [stem for stem in masks if stem not in scores]
    if missing:
        raise ValueError(f'{len(missing)} of {len(masks)} masks of {truth.path} have no score ({listed(missing)}); write the missing maps')
    extra = [stem for stem in scores if stem not in masks]
    notes = [f'{len(extra)} score maps have no mask and were left out: {listed(extra)}'] if extra else []
    return [(masks[stem], scores[stem]) for stem in sorted(masks)], notes


def _read_pair(truth: Tree, found: Tree, pair) -> tuple[np.ndarray, np.ndarray]:
    mask, values = read_gray(truth, pair[0]), read_score(found, pair[1])
    if mask.shape != values.shape:
        raise ValueError(f'{found.path}: {pair[1]} is {image_size(values)}, its mask {image_size(mask)}; write scores at the size of the images')
    return mask, values
