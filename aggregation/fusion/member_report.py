"""Measures of an ensemble and of each of its members, on labelled images that stream by: report.json.

Every member is measured as an ensemble of one. Its contribution is what changes when it is left out of the sums; its
file is read a second time for that, so memory grows with members only by a label map and the counts of each.
"""

import copy
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aggregation.fusion.fusing import FuseOptions, finish_band
from aggregation.fusion.members import Members, one_thread, pool_of, read_ahead
from aggregation.fusion.pooling import EXTREMES, Pool
from aggregation.fusion.truths import Truths
from aggregation.statistics import calibration
from aggregation.statistics.reliability import Reliability
from aggregation.tensors import bands, entropy
from utils.classes import Classes
from utils.cli.progress import progress
from utils.files.images import encode_png
from utils.metrics import ConfusionMatrix
from utils.outputs.pictures import error_mask, grey_image, palette_image

LEAST_WEIGHT = 1e-6  # of the others in a class; with less there is nothing to tell


class Tally:
    """The counts of one way to label the images."""

    def __init__(self, num_classes: int):
        self.images, self.matrix, self.reliability = (
            0,
            ConfusionMatrix(num_classes),
            Reliability(num_classes, by_class=False),
        )

    def add(self, pool_of_rows: Callable, options: FuseOptions, num_members: int, truth: Tensor) -> Tensor:
        """Enter an image with labels `truth` (H, W), band by band; returns its prediction uint8 (H, W).

        pool_of_rows: rows -> the pool of a band.
        """
        self.images += 1
        predictions = []
        for rows in bands(self.matrix.num_classes, tuple(truth.shape)):
            fused = finish_band(pool_of_rows(rows), options, num_members)
            self.matrix.update(fused.prediction, truth[rows])
            self.reliability.update(fused.probabilities, fused.prediction, fused.confidence, truth[rows])
            predictions.append(fused.prediction)
        return torch.cat(predictions)

    def scores(self) -> dict:
        """images, mean_iou, accuracy, iou (K,), and the measures of the confidence."""
        return {
            'images': self.images,
            'mean_iou': self.matrix.mean_iou(),
            'accuracy': self.matrix.accuracy(),
            'iou': self.matrix.iou(),
            **self.reliability.scores(),
        }


class Worst(NamedTuple):
    """An image by its share of wrong pixels. maps: see `picture`."""

    share: float
    stem: str
    wrong: int
    pixels: int
    maps: dict


@dataclass
class Measured:
    """What a report shows. Lists have an entry per member, in the order of members.

    calibrated: of the ensemble, when there is a calibration. left_out: of the others without this member, None where
    that is not known. differing and shared: int64 (M, M), labelled pixels that two members label differently, and
    that both label. unusable: messages about images that were left out of everything.
    """

    members: Members
    options: FuseOptions
    truths: Truths
    single: list[Tally]
    ensemble: Tally
    calibrated: Tally | None
    left_out: list[Tally | None]
    differing: np.ndarray
    shared: np.ndarray
    worst: list[Worst] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)

    def disagreement(self) -> np.ndarray:
        """The share of pixels that two members label differently, (M, M); nan without a shared image."""
        with np.errstate(invalid='ignore'):
            return self.differing / np.where(self.shared > 0, self.shared, np.nan)


def measure(
    members: Members,
    options: FuseOptions,
    truths: Truths,
    worst: int = 12,
    readers: int = 2,
    log=None,
    faults: list | None = None,
) -> Measured:
    """The measures of the members and of their ensemble on the images with labels.

    Args:
        worst: how many images with the largest share of wrong pixels to keep pictures of.
        readers: threads that read files; no number depends on it.
        faults: takes the message about each image whose files cannot be used, which is then left out; None: it is
            raised, as it is when there is no other image.

    Raises:
        ValueError: files do not fit together or to the labels; they are named.
    """
    stems, count, classes = truths.shared(members), len(members), len(truths.classes)
    left_out = [Tally(classes) if can_leave(members, number, options) else None for number in range(count)]
    found = Measured(
        members,
        options,
        truths,
        [Tally(classes) for _ in range(count)],
        Tally(classes),
        Tally(classes) if options.calibrator else None,
        left_out,
        np.zeros((count, count), np.int64),
        np.zeros((count, count), np.int64),
    )
    passes = 2 if any(left_out) else 1
    stream = read_ahead(members, stems, readers, passes)
    with one_thread():
        for stem in progress(stems, total=len(stems), desc='report', log=log):
            of_image = itertools.islice(stream, passes * len(members.of(stem)))
            before = copy.deepcopy({name: getattr(found, name) for name in _SUMS})
            try:
                _measure_image(found, stem, of_image, worst)
            except (ValueError, OSError) as error:
                if faults is None or len(faults) + 1 == len(stems):
                    raise
                faults.append(str(error))
                vars(found).update(before)  # what its first members have added
                deque(of_image, maxlen=0)
    found.unusable = list(faults or ())
    if not found.ensemble.reliability.pixels:
        raise ValueError(calibration.NO_LABELS)
    found.worst.sort(key=lambda one: one[:2], reverse=True)
    return found


_SUMS = ('single', 'ensemble', 'calibrated', 'left_out', 'differing', 'shared')  # of Measured, over images


def can_leave(members: Members, number: int, options: FuseOptions) -> bool:
    """Whether a member can be taken out of the pool: no extremes are needed, and the others weigh in every class."""
    others = [weight for other, weight in enumerate(members.weights) if other != number]
    return not options.needs & set(EXTREMES) and _enough(sum(others))


def _enough(weights: float | Tensor) -> bool:
    return bool((torch.as_tensor(weights) > LEAST_WEIGHT).all())


def _measure_image(found: Measured, stem: str, stream, worst: int):
    members, plain, labels, truth = (
        found.members,
        replace(found.options, calibrator=None, change_labels=False),
        {},
        None,
    )

    def alone(store, values):
        nonlocal truth
        truth = found.truths.read(stem, values.shape[1:], len(values)) if truth is None else truth
        number = members.stores.index(store)
        labels[number] = found.single[number].add(
            lambda rows: _single(values[:, rows], store.kind, plain.needs), plain, len(members), truth
        )

    pool = pool_of(members, stem, stream, plain.needs, alone)
    prediction = found.ensemble.add(pool.band, plain, len(members), truth)
    if any(found.left_out):
        _leave_out(found, stem, stream, pool, truth, plain)
    if found.calibrated is not None:
        prediction = found.calibrated.add(pool.band, found.options, len(members), truth)
    known = truth < len(found.truths.classes)
    _count_pairs(found, labels, known)
    wrong, pixels = int(((prediction != truth) & known).sum()), int(known.sum())
    if _is_worst(found.worst, worst, share := wrong / max(pixels, 1), stem):
        maps = picture(
            prediction,
            truth,
            known,
            *_uncertainty(pool, found.options, len(members)),
            list(labels.values()),
            found.truths.classes,
        )
        (heapq.heappush if len(found.worst) < worst else heapq.heapreplace)(
            found.worst, Worst(share, stem, wrong, pixels, maps)
        )


def _single(values: Tensor, kind: str, needs) -> Pool:
    pool = Pool(needs, len(values), tuple(values.shape[1:]))
    pool.add(values, kind)
    return pool


def _leave_out(found: Measured, stem: str, stream, pool: Pool, truth: Tensor, options: FuseOptions):
    """Second pass over the members of an image: what the others make of it.

    A member without the image changes nothing.

    Args:
        stream: of read_ahead, in which the members of the image come next.
        pool: of all its members.
        truth: trainIds (H, W).
    """
    weights = dict(found.members.of(stem))
    for store, tally in zip(found.members.stores, found.left_out):
        if store not in weights:
            if tally is not None:
                tally.add(pool.band, options, len(found.members), truth)
            continue
        values, weight = next(stream)().full(), weights[store]
        if tally is not None and _enough(pool.weights - weight):
            others = partial(_without, pool, values, store.kind, weight)
            tally.add(others, options, len(found.members), truth)


def _without(pool: Pool, values: Tensor, kind: str, weight, rows) -> Pool:
    """The rows of a pool without what one member added to it."""
    return pool.band(rows).without(values[:, rows], kind, weight)


def _count_pairs(found: Measured, labels: dict[int, Tensor], known: Tensor):
    pixels = int(known.sum())
    for number in labels:
        found.shared[number, number] += pixels
    for first, second in itertools.combinations(labels, 2):
        differing = int(((labels[first] != labels[second]) & known).sum())
        for pair in ((first, second), (second, first)):
            found.differing[pair] += differing
            found.shared[pair] += pixels


def _is_worst(kept: list[Worst], count: int, share: float, stem: str) -> bool:
    return len(kept) < count or count > 0 and (share, stem) > kept[0][:2]


def _uncertainty(pool: Pool, options: FuseOptions, num_members: int) -> tuple[Tensor, Tensor]:
    """Entropy in nats and confidence of the ensemble, both (H, W)."""
    fused = [finish_band(pool.band(rows), options, num_members) for rows in bands(pool.num_classes, pool.size)]
    return torch.cat([entropy(band.probabilities) for band in fused]), torch.cat([band.confidence for band in fused])


def picture(
    prediction: Tensor,
    truth: Tensor,
    known: Tensor,
    uncertainty: Tensor,
    confidence: Tensor,
    labels: list[Tensor],
    classes: Classes,
) -> dict[str, bytes]:
    """Pictures of one image: 'truth', 'prediction', 'error', 'confidence', 'entropy' and 'disagreement' -> PNG.

    Args:
        prediction: of the ensemble, (H, W) as all maps are.
        truth: trainIds.
        known: the pixels with a label.
        uncertainty: entropy of the ensemble in nats.
        confidence: of the ensemble, in [0, 1].
        labels: the predictions of the members.
        classes: their colours, and the trainId of pixels without a label.
    """
    prediction, label = prediction.numpy(), torch.where(known, truth, classes.ignore_label).to(torch.uint8).numpy()
    made = {
        'truth': palette_image(label, classes.colors),
        'prediction': palette_image(prediction, classes.colors),
        'error': grey_image(error_mask(prediction, label, known.numpy()), 'error').convert('L'),
        'confidence': grey_image(confidence.numpy(), 'confidence').convert('L'),
        'entropy': grey_image(uncertainty.numpy() / math.log(max(len(classes), 2)), 'entropy').convert('L'),
        'disagreement': grey_image(disagreement(labels, len(classes)).numpy(), 'disagreement').convert('L'),
    }
    return {key: encode_png(image) for key, image in made.items()}


def disagreement(labels: list[Tensor], num_classes: int) -> Tensor:
    """1 - share of the members that choose the most chosen class, (H, W)."""
    votes = torch.zeros_like(labels[0], dtype=torch.int16)
    for number in range(num_classes):
        torch.maximum(votes, sum((label == number).to(torch.int16) for label in labels), out=votes)
    return 1 - votes / len(labels)


def summary(found: Measured) -> dict:
    """report.json: plain values, shares in [0, 1]."""
    dataset, whole = found.truths.dataset, {'ensemble': found.ensemble.scores()}
    if found.calibrated is not None:
        whole['calibrated'] = found.calibrated.scores()
    return {
        'dataset': dataset.name,
        'split': dataset.split,
        'class_names': list(found.truths.classes.names),
        'images': found.ensemble.images,
        'pixels': found.ensemble.reliability.pixels,
        'fusion': found.options.fusion,
        'score': found.options.score,
        'incomplete_images': found.members.missing,
        'unusable_images': found.unusable,
        'members': [{**about, **tally.scores()} for about, tally in zip(found.members.describe(), found.single)],
        **whole,
        'left_out': [
            None if tally is None else {'without': title, **tally.scores()}
            for title, tally in zip(found.members.titles, found.left_out)
        ],
        'disagreement': found.disagreement(),
        'worst': [
            {'image': one.stem, 'wrong': one.wrong, 'pixels': one.pixels, 'share': one.share} for one in found.worst
        ],
    }
