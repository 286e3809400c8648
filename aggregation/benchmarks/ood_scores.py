"""Out-of-distribution scores of anomaly maps, over pixels and over components as SegmentMeIfYouCan does.

Masks are 0 (known), 1 (anomaly) and anything else void. Pixels are counted in a histogram, or exactly.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from aggregation.benchmarks import smiyc_scores as smiyc
from aggregation.benchmarks.score_files import find_scores, read_score
from aggregation.benchmarks.trees import Tree, image_size, read_gray
from aggregation.statistics import ranking
from aggregation.statistics.bootstrap import Histograms, image_weights, intervals, undefined
from utils.cli.progress import progress
from utils.cli.wording import listed

MASK = '_labels_semantic.png'
# of a float32 that the streamed histogram tells apart: 11 bits after the leading one
KEY_BITS = 20


def ordered_keys(scores: np.ndarray) -> np.ndarray:
    """int64 keys below 2 ** KEY_BITS in the order of float32 scores: the leading bits of the number, made to ascend."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    ascending = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return (ascending >> (32 - KEY_BITS)).astype(np.int64)


class FrameCounts(NamedTuple):
    """A frame's pixels at the keys (n,) that occur in it, ascending: counts int64 (2, n), anomalous and all."""

    keys: np.ndarray
    counts: np.ndarray


class StreamedCounts:
    """Anomalous and all pixels per key: 16 MiB, whatever the images.

    Scores that differ by less than 1 in 2000 may share a key.
    """

    def __init__(self):
        self.positives, self.totals = (np.zeros(1 << KEY_BITS, np.int64) for _ in range(2))

    @staticmethod
    def of(scores: np.ndarray, anomalous: np.ndarray) -> FrameCounts:
        """What to add of a frame: scores (n,), anomalous bool (n,)."""
        keys = ordered_keys(scores)
        totals = np.bincount(keys)
        present = np.flatnonzero(totals)
        return FrameCounts(present, np.stack([np.bincount(keys[anomalous], minlength=len(totals)), totals])[:, present])

    def add(self, frame: FrameCounts):
        self.positives[frame.keys] += frame.counts[0]
        self.totals[frame.keys] += frame.counts[1]

    def blocks(self) -> tuple[np.ndarray, np.ndarray]:
        return self.positives[::-1], self.totals[::-1]


class ExactCounts:
    """Every score is kept (5 bytes per pixel), so nothing is rounded."""

    def __init__(self):
        self._frames = []

    @staticmethod
    def of(scores: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return scores, anomalous

    def add(self, frame: tuple[np.ndarray, np.ndarray]):
        self._frames.append(frame)

    def blocks(self) -> tuple[np.ndarray, np.ndarray]:
        return ranking.count_blocks(*(np.concatenate(parts) for parts in zip(*self._frames)))[:2]


def evaluate(masks, scores, score=None, track=None, exact=False, bootstrap=0, threads=2, log=None) -> dict:
    """AUROC, AUPR and FPR95 of anomaly maps against masks.

    Args:
        masks: folder or archive of *_labels_semantic.png, or of PNG files with the names of the images.
        scores: folder or archive of the maps.
        score: name of the map when there are several; 'confidence' for the *_conf.png of a submission.
        track: 'anomaly' or 'obstacle' adds the SegmentMeIfYouCan pixel and component scores.
        exact: keep every score in memory instead of a histogram.
        bootstrap: how many resamplings of the frames the 95 % intervals come from; 0: no intervals. The threshold
            that cuts components stays that of all frames.
        threads: that read files; no number depends on it.

    Returns:
        {'scores', 'notes', and with bootstrap 'intervals' and 'resampled', the pixel scores of every resampling}.

    Raises:
        ValueError: files are missing or unfit, or no mask holds an anomalous or a known pixel.
    """
    if exact and bootstrap:
        raise ValueError(
            f'--exact keeps every score and --bootstrap {bootstrap} adds up histograms of levels; give one of the two'
        )
    counts, frames = (ExactCounts() if exact else StreamedCounts()), []
    drawn = Histograms(bootstrap, 2, 1 << KEY_BITS)
    truth, found = Tree(masks), Tree(scores)
    pairs, notes = pair_masks(truth, find_scores(found, score))
    times = np.stack([image_weights(PurePosixPath(mask).name, bootstrap).astype(np.uint8) for mask, _ in pairs])
    read = partial(_read_pair, truth, found)

    def count(pair):
        mask, values = read(pair)
        known = (mask == 0) | (mask == 1)
        return counts.of(values[known], mask[known] == 1), smiyc.frame_points(values, mask) if track else None

    with ThreadPoolExecutor(threads) as pool:
        counted = progress(pool.map(count, pairs), total=len(pairs), desc='pixels', log=log)
        for of_frame, (pixels, points) in zip(times, counted):
            counts.add(pixels)
            frames.append(points)
            if bootstrap:
                drawn.add(of_frame, *pixels)
        positives, totals = counts.blocks()
        anomalous, pixels = int(positives.sum()), int(totals.sum())
        _check_both(masks, len(pairs), anomalous, pixels)
        suite = _suite(frames, smiyc.TRACKS[track], pool, read, pairs, log) if track else None
    about = {'images': len(pairs), 'pixels': pixels, 'anomalous': anomalous}
    result = {'scores': {**about, **pixel_scores(positives, totals)}, 'notes': notes}
    if suite:
        result['scores']['smiyc'] = smiyc_scores(*suite)
        notes += suite[1].notes()
    if bootstrap:
        result['resampled'] = [pixel_scores(*counts[:, ::-1]) for _, counts in drawn]
        result['intervals'] = _intervals(result['resampled'], times, suite, notes)
    return result


def _suite(frames, track: smiyc.Track, pool, read, pairs, log) -> tuple[smiyc.PixelPoints, smiyc.Components]:
    """What the SegmentMeIfYouCan scores are made of; components are cut at the best threshold of all frames."""
    pixels = smiyc.PixelPoints(frames)
    threshold = pixels.scores().best_threshold

    def cut(pair):
        mask, values = read(pair)
        return smiyc.overlaps(values, mask, threshold, track)

    found = progress(pool.map(cut, pairs), total=len(pairs), desc='components', log=log)
    return pixels, smiyc.Components(track, found)


def pixel_scores(positives: np.ndarray, totals: np.ndarray) -> dict[str, float]:
    """The scores of counts from the highest score to the lowest (see `ranking`)."""
    return {
        'auroc': ranking.auroc(positives, totals),
        'aupr': ranking.average_precision(positives, totals),
        'fpr95': ranking.fpr_at_tpr(positives, totals),
    }


def smiyc_scores(
    pixels: smiyc.PixelPoints, components: smiyc.Components, times: np.ndarray | None = None
) -> dict[str, float]:
    """Pixel and component scores; times (frames,): with every frame drawn so often."""
    return {**pixels.scores(times)._asdict(), **components.scores(times)}


def _intervals(resampled: list[dict], times: np.ndarray, suite, notes: list[str]) -> dict:
    """The intervals under the keys of the scores; a note counts the resamplings that do not define them all."""
    rounds = [resampled]
    if suite:
        rounds.append([smiyc_scores(*suite, of_round) for of_round in times.T])
    lost = max(map(undefined, rounds))
    if lost:
        notes.append(
            f'{lost} of {len(resampled)} resamplings leave a score undefined (without an anomalous pixel, say) and do'
            ' not enter its interval'
        )
    found = [intervals(one) for one in rounds]
    return {**found[0], **({'smiyc': found[1]} if suite else {})}


def _check_both(masks, count: int, anomalous: int, pixels: int):
    if not 0 < anomalous < pixels:
        raise ValueError(
            f'{masks}: {count} masks hold {anomalous} anomalous pixels (1) and {pixels - anomalous} known ones (0); no'
            ' score is defined without both, give the masks of a whole set'
        )


def pair_masks(truth: Tree, scores: dict[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """([(mask, score file)], notes); ValueError when a mask has no score.

    Masks are *_labels_semantic.png, in a folder without any of these every PNG, which has the stem of its image.
    """
    named = [name for name in truth.names if name.endswith(MASK)]
    masks, ending = {}, MASK if named else '.png'
    for name in named or (name for name in truth.names if name.endswith(ending)):
        stem = PurePosixPath(name).name.removesuffix(ending)
        if stem in masks:
            raise ValueError(
                f'{truth.path}: {masks[stem]} and {name} are both masks of {stem}; give the folder of one set'
            )
        masks[stem] = name
    if not masks:
        raise ValueError(f'{truth.path}: holds no masks, *{MASK} or *.png; give the folder labels_masks')
    missing = [stem for stem in masks if stem not in scores]
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(masks)} masks of {truth.path} have no score ({listed(missing)}); write the missing'
            ' maps'
        )
    extra = [stem for stem in scores if stem not in masks]
    notes = [f'{len(extra)} score maps have no mask and were left out: {listed(extra)}'] if extra else []
    return [(masks[stem], scores[stem]) for stem in sorted(masks)], notes


def _read_pair(truth: Tree, found: Tree, pair) -> tuple[np.ndarray, np.ndarray]:
    mask, values = read_gray(truth, pair[0]), read_score(found, pair[1])
    if mask.shape != values.shape:
        raise ValueError(
            f'{found.path}: {pair[1]} is {image_size(values)}, its mask {image_size(mask)}; write scores at the size of'
            ' the images'
        )
    return mask, values
