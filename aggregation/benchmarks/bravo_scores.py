"""Scores of the BRAVO benchmark (Vu et al., arXiv 2409.15107): a submission against the ground truth.

Nine subsets are scored in turn and all pixels of a subset are pooled: a confusion matrix over every valid pixel, and
histograms of confidence levels over the sampled pixels. So memory depends on neither images nor pixels. Values equal
those of the public toolkit; where that stops (a subset without a single error), a value is nan and stands in `notes`.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aggregation.benchmarks import bravo_files as files
from aggregation.benchmarks.bravo_codec import Encoded, decode_prediction, decode_samples, draw_samples
from aggregation.benchmarks.bravo_files import CLASSES, check_complete, read_prediction
from aggregation.benchmarks.label_values import need_trainids
from aggregation.benchmarks.trees import Tree, image_size, read_gray
from aggregation.fusion.names import PREDICTION
from aggregation.statistics import ranking
from aggregation.statistics.bootstrap import Histograms, image_weights, intervals
from aggregation.statistics.levels import LEVELS, LevelCounts
from utils.cli.progress import progress
from utils.cli.wording import counted, listed

VOID = 255
SEMANTIC = ('miou', 'ece', 'auroc', 'fpr95', 'auprc_success', 'auprc_error')
OOD = ('auroc', 'fpr95', 'auprc')
LOWER_IS_BETTER = ('ece', 'fpr95')


def metrics():
    """The module utils.metrics, which imports torch: seconds, and the flags are checked before."""
    import utils.metrics

    return utils.metrics


@dataclass
class Tally:
    """The counts of one image, or of all images of a subset."""

    matrix: Any = field(default_factory=lambda: metrics().ConfusionMatrix(CLASSES))
    # valid sampled pixels; positive: the label is right
    correct: LevelCounts = field(default_factory=LevelCounts)
    # all sampled pixels; positive: valid, not out of distribution
    valid: LevelCounts = field(default_factory=LevelCounts)

    def add(self, other: 'Tally'):
        self.matrix.merge(other.matrix)
        self.correct.add(other.correct)
        self.valid.add(other.valid)


def evaluate(truth, submission, samples=None, bootstrap=0, threads=2, log=None) -> dict:
    """Every number of the benchmark.

    Args:
        truth: tar or folder of ground truth and masks.
        submission: tar or folder of prediction and confidence PNGs, or tar of encoded files.
        samples: the sampling tar or folder; None: the same samples are drawn from the ground truth.
        bootstrap: how many resamplings of the images the 95 % intervals come from; 0: no intervals.
        threads: that read files; no number depends on it.

    Returns:
        {'scores': the official keys and values, 'notes', and with bootstrap 'intervals'}.

    Raises:
        ValueError: something is missing, or a file cannot be scored; it is named.
    """
    sampling = None if samples is None else Tree(samples)
    tree = Tree(submission)
    need_trainids(tree, [name for name in tree.names if name.endswith(PREDICTION)])
    return _Evaluation(Tree(truth), tree, sampling, bootstrap, threads, log).run()


class Resampling:
    """`count` resamplings of the tallies added."""

    def __init__(self, count: int, num_classes: int):
        self.count = count
        self.matrices = np.zeros((count, num_classes, num_classes), np.int64)
        self._histograms = Histograms(count, 4, LEVELS)

    def add(self, name: str, tally: Tally):
        """Enter one image's tally under its name."""
        times = image_weights(name, self.count)
        self.matrices += times[:, None, None] * tally.matrix.counts
        counts = np.stack([tally.correct.positives, tally.correct.totals, tally.valid.positives, tally.valid.totals])
        present = np.flatnonzero(counts.any(0))
        self._histograms.add(times, present, counts[:, present])

    def tallies(self) -> Iterator[Tally]:
        """The resamplings, one after the other; once."""
        for pairs, (levels, counts) in zip(self.matrices, self._histograms):
            matrix, correct, valid = metrics().ConfusionMatrix(len(pairs)), LevelCounts(), LevelCounts()
            matrix.update_from_counts(pairs)
            correct.positives[levels], correct.totals[levels], valid.positives[levels], valid.totals[levels] = counts
            yield Tally(matrix, correct, valid)


class _Evaluation:
    def __init__(self, truth: Tree, submission: Tree, samples: Tree | None, bootstrap: int, threads: int, log):
        self.truth, self.submission, self.samples = truth, submission, samples
        self.bootstrap, self.threads, self.log, self.notes = bootstrap, threads, log, []
        self.keys = check_complete(truth, submission, samples)
        self.encoded = bool(files.keys_of(submission.names, 'encoded'))

    def run(self) -> dict:
        scores, resampled, highest = {}, {}, np.zeros(2, np.int64)
        for subset in files.SUBSETS:
            keys = [key for key in self.keys if files.in_subset(key, subset)]
            if not keys:
                raise ValueError(
                    f'{self.truth.path}: has no ground truth of subset {subset}, and the index needs every subset; give'
                    ' the whole ground truth'
                )
            tally, resampling = self._tally(subset, keys)
            found = subset_scores(subset, tally)
            scores |= found
            highest += tally.valid.totals[-1], tally.valid.totals.sum()
            self.notes += [
                f'{key} is not defined: {_WHY[key.rpartition("_")[2]]}'
                for key, value in found.items()
                if _is_nan(value)
            ]
            if resampling is not None:
                resampled[subset] = [subset_scores(subset, replicate) for replicate in resampling]
        scores |= means(scores)
        uncounted = [key for key in self.keys if not any(files.in_subset(key, subset) for subset in files.SUBSETS)]
        if uncounted:
            self.notes.append(
                f'{counted(len(uncounted), "image")} of no subset counted nowhere: {listed(uncounted, 3)}'
            )
        self.notes += _tied_note(*highest)
        result = {'scores': scores, 'notes': self.notes}
        if self.bootstrap:
            result['intervals'] = _intervals(resampled, self.bootstrap)
        return result

    def _tally(self, subset, keys):
        """The pooled counts of a subset; a damaged file ends the evaluation with its name."""
        total = Tally()
        resampling = Resampling(self.bootstrap, CLASSES) if self.bootstrap else None
        with ThreadPoolExecutor(self.threads) as pool:
            done = pool.map(self._image, keys)
            for key, tally in zip(keys, progress(done, total=len(keys), desc=subset, log=self.log)):
                total.add(tally)
                if resampling is not None:
                    resampling.add(key, tally)
        return total, resampling and resampling.tallies()

    def _image(self, key: str) -> Tally:
        truth, mask = (read_gray(self.truth, files.name_of(key, kind)) for kind in ('truth', 'mask'))
        if mask.shape != truth.shape:
            raise ValueError(
                f'{self.truth.path}: the mask of {key} is {image_size(mask)} pixels, its ground truth'
                f' {image_size(truth)}; get the ground truth again'
            )
        indices = (
            draw_samples(truth)
            if self.samples is None
            else decode_samples(self.samples.read(files.name_of(key, 'samples')), files.name_of(key, 'samples'))
        )
        if len(indices) and indices[-1] >= truth.size:
            raise ValueError(
                f'{files.name_of(key, "samples")}: samples pixel {indices[-1]} of an image of {truth.size} pixels; '
                'samples and ground truth do not belong together'
            )
        return tally_image(truth, mask, self._prediction(key, truth, indices), indices)

    def _prediction(self, key, truth, indices) -> Encoded:
        """What was predicted for `key`: the classes, and the levels at `indices`."""
        if self.encoded:
            name = files.name_of(key, 'encoded')
            classes, levels = decode_prediction(self.submission.read(name), name, truth.shape)
        else:
            name = files.name_of(key, 'prediction')
            classes, levels = read_prediction(self.submission, name, files.name_of(key, 'confidence'))
        if classes.shape != truth.shape:
            raise ValueError(
                f'{name}: is {image_size(classes)} pixels, its ground truth {image_size(truth)}; predict at the size of'
                ' the images'
            )
        if levels.size == classes.size:
            levels = levels.ravel()[indices]
        if len(levels) != len(indices):
            raise ValueError(
                f'{name}: has {len(levels)} confidences for {len(indices)} samples; encode the submission with this'
                ' sampling archive'
            )
        return Encoded(classes, levels)


def tally_image(truth: np.ndarray, mask: np.ndarray, prediction: Encoded, indices: np.ndarray) -> Tally:
    """The counts of one image.

    Args:
        truth: trainIds (H, W).
        mask: (H, W), not 0 where invalid.
        prediction: the classes (H, W), and the levels at the sampled `indices`.
    """
    if prediction.classes.max(initial=0) >= CLASSES:
        raise ValueError(f'a prediction holds class {prediction.classes.max()}, expected trainIds 0 to {CLASSES - 1}')
    tally = Tally()
    tally.matrix.update(prediction.classes, np.where(mask == 0, truth, np.uint8(VOID)))
    valid = mask.ravel()[indices] == 0
    right = truth.ravel()[indices] == prediction.classes.ravel()[indices]
    tally.valid = LevelCounts.of(prediction.levels, valid)
    tally.correct = LevelCounts.of(prediction.levels[valid], right[valid])
    return tally


def subset_scores(subset: str, tally: Tally) -> dict:
    """The official keys and values of one subset."""
    scores = {}
    if subset in files.SEMANTIC_SUBSETS:
        ious = metrics().iou(tally.matrix.counts)
        values = {
            'miou': float(np.nanmean(ious)) if not np.isnan(ious).all() else float('nan'),
            **tally.correct.scores(),
        }
        scores |= {f'{subset}_{metric}_valid': values[metric] for metric in SEMANTIC}
        scores[f'{subset}_iou_valid'] = ious.tolist()
    if subset in files.OOD_SUBSETS:
        counts = tally.valid.error()
        values = {
            'auroc': ranking.auroc(*counts),
            'fpr95': ranking.fpr_at_tpr(*counts),
            'auprc': ranking.average_precision(*counts),
        }
        scores |= {f'{subset}_{metric}_ood': values[metric] for metric in OOD}
    return scores


def _tied_note(highest: int, samples: int) -> list[str]:
    """Levels are equal steps of confidence: a network that is sure of everything has most pixels in the last one."""
    share = highest / max(samples, 1)
    return (
        [
            f'{100 * share:.1f} % of the sampled confidences are the highest level, {LEVELS - 1}, and not ranked among'
            ' themselves; a temperature calibration spreads them (docs/ensembles.md)'
        ]
        if share > 0.01
        else []
    )


_WHY = {
    'valid': 'no sampled valid pixel is right, or none is wrong',
    'ood': 'no sampled pixel is valid, or none is out of distribution',
}


def _is_nan(value) -> bool:
    return isinstance(value, float) and math.isnan(value)


def quality(key: str, value: float) -> float:
    """The value that enters the means: 1 - value where lower is better."""
    return 1 - value if any(f'_{metric}_' in key for metric in LOWER_IS_BETTER) else value


def harmonic_mean(values) -> float:
    """n / sum(1 / x); 0 when one of them is 0, nan when one is nan."""
    values = list(values)
    if any(math.isnan(value) for value in values):
        return float('nan')
    return 0.0 if min(values) <= 0 else len(values) / sum(1 / value for value in values)


def members(scores: dict) -> dict[str, list[str]]:
    """mean -> keys of the scores it is made of: 'semantic_hmean', 'ood_hmean' and '<subset>_hmean'."""
    scalars = [key for key in scores if key.endswith(('_valid', '_ood')) and not key.endswith('_iou_valid')]
    made_of = {f'{subset}_hmean': [key for key in scalars if key.startswith(f'{subset}_')] for subset in files.SUBSETS}
    return {
        **made_of,
        'semantic_hmean': [key for key in scalars if key.endswith('_valid')],
        'ood_hmean': [key for key in scalars if key.endswith('_ood')],
    }


def means(scores: dict) -> dict[str, float]:
    """The harmonic means of the subsets, of both families, and of these two: the BRAVO index."""
    found = {name: harmonic_mean(quality(key, scores[key]) for key in keys) for name, keys in members(scores).items()}
    return {**found, 'bravo_index': harmonic_mean([found['semantic_hmean'], found['ood_hmean']])}


def leverage(scores: dict, step: float = 0.01) -> list[dict]:
    """What would raise the index most: per score its gain if that score alone were `step` better, largest first.

    Empty without an index.
    """
    gains = []
    if _is_nan(scores['bravo_index']):
        return gains
    for key in {key for keys in members(scores).values() for key in keys}:
        better = min(quality(key, scores[key]) + step, 1.0)
        changed = {**scores, key: 1 - better if quality(key, 0.0) == 1 else better}
        gains.append(
            {'score': key, 'value': scores[key], 'gain': means(changed)['bravo_index'] - scores['bravo_index']}
        )
    return sorted(gains, key=lambda entry: (-entry['gain'], entry['score']))


def _intervals(resampled: dict, count: int) -> dict[str, list[float] | None]:
    """key -> the 95 % interval of every scalar over the resamplings."""
    rounds = []
    for number in range(count):
        scores = {key: value for subset in resampled.values() for key, value in subset[number].items()}
        rounds.append({**scores, **means(scores)})
    return intervals([{key: value for key, value in one.items() if not isinstance(value, list)} for one in rounds])
