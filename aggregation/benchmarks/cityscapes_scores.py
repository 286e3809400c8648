"""Scores of Cityscapes (Cordts et al., CVPR 2016, arXiv 1604.01685): class, category and instance-weighted IoU.

Counts run over label ids 0 to 33. A pixel whose ground truth is not scored counts nowhere; a prediction that is not
scored, on a pixel that is, is a miss and nobody's false alarm. Values equal those of the public evaluation scripts.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from aggregation.benchmarks.trees import Tree, image_size, read_gray
from aggregation.statistics.bootstrap import image_weights, intervals
from utils.cli.progress import progress
from utils.cli.wording import listed

IDS = 34  # label ids 0..33
TRUTH, INSTANCES = '_gtFine_labelIds.png', '_gtFine_instanceIds.png'
FRAME = re.compile(r'[^_/]+_\d{6}_\d{6}')
BESIDE = re.compile(r'_(conf|score|prob)\.png$')  # what this program writes beside a prediction
# Mean pixels of an instance in the training set, the weights of instance-weighted IoU.
INSTANCE_PIXELS = {
    'bicycle': 4672.3249222261,
    'caravan': 36771.8241758242,
    'motorcycle': 6298.7200839748,
    'rider': 3930.4788056518,
    'bus': 35732.1511111111,
    'train': 67583.7075812274,
    'car': 12794.0202738185,
    'person': 3462.4756337644,
    'truck': 27855.1264367816,
    'trailer': 16926.9763313609,
}


class Frame(NamedTuple):
    """Names of one image's files: label ids, instance ids (None without), prediction."""

    truth: str
    instances: str | None
    prediction: str


class LabelSet:
    """Which ids count: built from the entries (name, id, trainid, category, has_instances) of the label table.

    A category's instance set holds all its instance labels, scored or not; that is how the benchmark defines it.
    """

    def __init__(self, labels, ignore: int = 255):
        self.names = {label.name: label.id for label in labels}
        self.scored = {label.name: label.id for label in labels if label.trainid != ignore}
        categories = dict.fromkeys(label.category for label in labels)
        self.categories = {
            category: [label.id for label in labels if label.category == category and label.trainid != ignore]
            for category in categories
        }
        self.instance_classes = {
            label.name: label.id for label in labels if label.has_instances and label.trainid != ignore
        }
        self.instance_categories = {
            category: ids
            for category in categories
            if (ids := [label.id for label in labels if label.category == category and label.has_instances])
        }


class Counts:
    """Pixel pairs by truth and prediction (ids, ids), and weighted hits and misses of instances, of all images.

    Every array has a leading dimension: entry 0 are the images as they are, the others are resamplings of them.
    """

    def __init__(self, labels: LabelSet, resamplings: int = 0):
        self.labels, self.resamplings = labels, resamplings
        self.pairs = np.zeros((1 + resamplings, IDS, IDS), np.int64)
        # of instances by their label: pixels found as that label
        self.hits = np.zeros((1 + resamplings, IDS))
        self.misses = np.zeros((1 + resamplings, IDS))
        self.category_hits = np.zeros((1 + resamplings, IDS))  # found as any label of its category
        self.category_misses = np.zeros((1 + resamplings, IDS))

    def add(self, name: str, pairs, instances):
        """Enter the counts of one image, as count_image returns them."""
        times = np.concatenate([[1], image_weights(name, self.resamplings)])
        self.pairs += times[:, None, None] * pairs
        for total, image in zip((self.hits, self.misses, self.category_hits, self.category_misses), instances):
            total += times[:, None] * image

    def scores(self, sample: int = 0) -> dict:
        """classScores, classInstScores, categoryScores, categoryInstScores and their means; nan where nothing
        counts."""
        pairs, labels = self.pairs[sample], self.labels
        found = {
            'classScores': {
                name: class_iou(pairs, labels, [name_id]) if name in labels.scored else np.nan
                for name, name_id in labels.names.items()
            },
            'classInstScores': {
                name: self._instance_iou(sample, name_id) if name in labels.instance_classes else np.nan
                for name, name_id in labels.names.items()
            },
            'categoryScores': {category: class_iou(pairs, labels, ids) for category, ids in labels.categories.items()},
            'categoryInstScores': {
                category: self._category_instance_iou(sample, labels.instance_categories.get(category))
                for category in labels.categories
            },
        }
        means = {
            'averageScoreClasses': 'classScores',
            'averageScoreInstClasses': 'classInstScores',
            'averageScoreCategories': 'categoryScores',
            'averageScoreInstCategories': 'categoryInstScores',
        }
        return {**{mean: _mean(found[scores].values()) for mean, scores in means.items()}, **found}

    def _instance_iou(self, sample, label) -> float:
        hits, misses = self.hits[sample, label], self.misses[sample, label]
        return _ratio(hits, hits + misses + false_alarms(self.pairs[sample], self.labels, [label]))

    def _category_instance_iou(self, sample, ids) -> float:
        if ids is None:
            return np.nan
        hits, misses = self.category_hits[sample, ids].sum(), self.category_misses[sample, ids].sum()
        return _ratio(hits, hits + misses + false_alarms(self.pairs[sample], self.labels, ids))


def false_alarms(pairs: np.ndarray, labels: LabelSet, ids: list) -> int:
    """Pixels of other scored labels that were predicted as one of `ids`."""
    others = [other for other in labels.scored.values() if other not in ids]
    return int(pairs[np.ix_(others, ids)].sum())


def class_iou(pairs: np.ndarray, labels: LabelSet, ids: list) -> float:
    """IoU of the scored labels `ids` taken together; nan when they occur nowhere."""
    hits = int(pairs[np.ix_(ids, ids)].sum())
    return _ratio(hits, int(pairs[ids].sum()) + false_alarms(pairs, labels, ids))


def _ratio(part, whole) -> float:
    return float(part / whole) if whole else np.nan


def _mean(values) -> float:
    values = np.array(list(values), float)
    return float(np.nanmean(values)) if not np.isnan(values).all() else np.nan


def count_image(truth: np.ndarray, prediction: np.ndarray, instances: np.ndarray | None, labels: LabelSet):
    """(pairs int64 (34, 34), the four arrays (34,) of Counts) of one image.

    Args:
        truth, prediction: label ids below 34, uint8 (H, W).
        instances: uint16 (H, W), label * 1000 + number, or the label where there is no single instance; None: unknown.
        labels: which of the ids count.
    """
    pairs = np.bincount((truth.astype(np.int32) * IDS + prediction).ravel(), minlength=IDS * IDS).reshape(IDS, IDS)
    counted = np.zeros((4, IDS))
    if instances is not None:
        _count_instances(counted, instances, prediction, labels)
    return pairs, counted


def _count_instances(counted, instances, prediction, labels):
    single = instances >= 1000
    numbers, place = np.unique(instances[single], return_inverse=True)
    guesses = np.bincount(place * IDS + prediction[single], minlength=len(numbers) * IDS).reshape(len(numbers), IDS)
    category_of = {label: ids for ids in labels.instance_categories.values() for label in ids}
    for number, guess in zip(numbers.tolist(), guesses):
        name = next((name for name, label in labels.instance_classes.items() if label == number // 1000), None)
        if name is None:
            # caravans and trailers have instances and are not scored
            continue
        label, pixels = number // 1000, guess.sum()
        weight = INSTANCE_PIXELS[name] / pixels
        hits, category_hits = guess[label], guess[category_of[label]].sum()
        counted[:, label] += weight * np.array([hits, pixels - hits, category_hits, pixels - category_hits])


def evaluate(truth, prediction, labels, bootstrap=0, threads=2, log=None, trainid_to_id=None) -> dict:
    """The official result of label-id PNGs, or of trainIds.

    Args:
        truth: folder or archive of *_gtFine_labelIds.png and, for instance-weighted scores, *_gtFine_instanceIds.png.
        prediction: folder or archive of the PNGs.
        labels: the label table, see LabelSet.
        bootstrap: how many resamplings of the images the 95 % intervals come from; 0: no intervals.
        threads: that read files; no number depends on it.
        trainid_to_id: uint8 (256,), applied when the predictions hold trainIds; None: they hold label ids.

    Returns:
        {'scores': the official keys and values, 'notes', and with bootstrap 'intervals'}.

    Raises:
        ValueError: files are missing, doubled or unfit; they are named.
    """
    labels = LabelSet(labels)
    truths, predictions, counts = Tree(truth), Tree(prediction), Counts(labels, bootstrap)
    frames = pair_files(truths, predictions)
    with ThreadPoolExecutor(threads) as pool:
        counted = pool.map(
            lambda frame: count_image(*_read_frame(truths, predictions, frame, trainid_to_id), labels), frames
        )
        for frame, image in zip(frames, progress(counted, total=len(frames), desc='cityscapes', log=log)):
            counts.add(frame.truth, *image)
    with_instances = frames[0].instances is not None
    notes = [] if with_instances else [f'{truth}: has no {INSTANCES[1:]} files, so no instance-weighted scores']
    pairs, means = counts.pairs[0], _scores(counts, 0, with_instances)
    if np.isnan(means['averageScoreClasses']):
        notes.append(f'{truth}: holds not one pixel of a scored label, so no score is defined')
    elif with_instances and np.isnan(means['averageScoreInstClasses']):
        notes.append(f'{truth}: holds no instance of a scored label, so no instance-weighted score is defined')
    scores = {
        **means,
        'confMatrix': pairs.tolist(),
        'labels': labels.names,
        'priors': {name: float(pairs[label].sum() / pairs.sum()) for name, label in labels.names.items()},
    }
    result = {'scores': scores, 'notes': notes}
    if bootstrap:
        rounds = [_scores(counts, sample, with_instances) for sample in range(1, bootstrap + 1)]
        result['intervals'] = intervals([{key: one[key] for key in one if key.startswith('average')} for one in rounds])
    return result


def _scores(counts, sample, with_instances) -> dict:
    scores = counts.scores(sample)
    if not with_instances:
        scores |= {
            'averageScoreInstClasses': np.nan,
            'averageScoreInstCategories': np.nan,
            **{key: dict.fromkeys(scores[key], np.nan) for key in ('classInstScores', 'categoryInstScores')},
        }
    return scores


def predictions_of(tree: Tree) -> dict[str, list[str]]:
    """frame -> its label-id PNGs; confidences and other files beside a prediction are none."""
    found = {}
    for name in tree.names:
        frame = FRAME.match(PurePosixPath(name).name)
        if frame and name.lower().endswith('.png') and not BESIDE.search(name):
            found.setdefault(frame[0], []).append(name)
    return found


def pair_files(truths: Tree, predictions: Tree) -> list[Frame]:
    """The Frame of every image with ground truth, sorted; ValueError for missing or doubled predictions."""
    found = predictions_of(predictions)
    names = [name for name in truths.names if name.endswith(TRUTH)]
    if not names:
        raise ValueError(f'{truths.path}: holds no {TRUTH[1:]} files; give the folder gtFine, or the split below it')
    frames = [name.rpartition('/')[2].removesuffix(TRUTH) for name in names]
    missing = [frame for frame in frames if frame not in found]
    if missing:
        raise ValueError(
            f'{predictions.path}: {len(missing)} of {len(frames)} images have no prediction ({listed(missing)}); '
            'name each <city>_<number>_<number>*.png and add them, or give the ground truth of one split'
        )
    doubled = [found[frame] for frame in frames if len(found[frame]) > 1]
    if doubled:
        raise ValueError(
            f'{predictions.path}: {doubled[0][0]} and {doubled[0][1]} are predictions of one image '
            f'({len(doubled)} images have several); keep one of each'
        )
    instances = [name.removesuffix(TRUTH) + INSTANCES for name in names]
    absent = [name for name in instances if name not in truths]
    if absent and len(absent) < len(instances):
        raise ValueError(
            f'{truths.path}: {len(absent)} of {len(instances)} {INSTANCES[1:]} files are missing ({listed(absent)});'
            ' add them, or remove all'
        )
    return [
        Frame(name, None if absent else instance, found[frame][0])
        for name, instance, frame in zip(names, instances, frames)
    ]


def _read_frame(truths: Tree, predictions: Tree, frame: Frame, trainid_to_id=None):
    truth = _read_ids(truths, frame.truth)
    prediction = _read_ids(predictions, frame.prediction, trainid_to_id)
    if truth.shape != prediction.shape:
        raise ValueError(
            f'{predictions.path}: {frame.prediction} is {image_size(prediction)} pixels, its ground truth'
            f' {image_size(truth)}; write predictions at the size of the images'
        )
    instances = read_gray(truths, frame.instances) if frame.instances else None
    if instances is not None and instances.shape != truth.shape:
        raise ValueError(
            f'{truths.path}: {frame.instances} is {image_size(instances)} pixels, {frame.truth} {image_size(truth)};'
            ' get the ground truth again'
        )
    return truth, prediction, instances


def _read_ids(tree: Tree, name: str, trainid_to_id=None) -> np.ndarray:
    image = read_gray(tree, name)
    limit = IDS if trainid_to_id is None else int((np.asarray(trainid_to_id) > 0).sum())
    if image.dtype != np.uint8 or image.max(initial=0) >= limit:
        expected = (
            f'label ids 0 to {IDS - 1} (not trainIds with 255); write label ids'
            if trainid_to_id is None
            else f'trainIds 0 to {limit - 1}; write those, or give --ids label'
        )
        raise ValueError(
            f'{tree.path}: {name} holds {image.dtype} values up to {image.max(initial=0)}, expected 8-bit {expected}'
        )
    return image if trainid_to_id is None else np.asarray(trainid_to_id, np.uint8)[image]
