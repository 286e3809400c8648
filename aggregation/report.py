"""How an ensemble compares with its members, measured on labelled images that stream by.

Every member is measured as an ensemble of one. Its contribution is what changes when it is left out of the sums; its file
is read a second time for that, so that memory does not grow with members but for a label map and the counts of each.
"""
import heapq
import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from aggregation.fusing import FuseOptions, finish
from aggregation.members import Members
from aggregation.pool import Pool
from aggregation.reliability import Reliability
from aggregation.report_pictures import Worst, picture
from aggregation.stored import describe
from aggregation.stream import one_thread, pool_of, read_ahead
from aggregation.truths import Truths
from utils.metrics import ConfusionMatrix
from utils.progress import progress

EXTREMES = {'max', 'min', 'least_sure'}
LEAST_WEIGHT = 1e-6                     # of the others in a class; with less there is nothing to tell


class Tally:
    """The counts of one way to label the images."""

    def __init__(self, num_classes: int):
        self.images, self.matrix, self.reliability = 0, ConfusionMatrix(num_classes), Reliability(num_classes, by_class=False)

    def update(self, fused, truth: Tensor):
        self.images += 1
        self.matrix.update(fused.prediction, truth)
        self.reliability.update(fused.probabilities, fused.prediction, fused.confidence, truth)

    def scores(self) -> dict:
        """images, mean_iou, accuracy, iou (K,), and the measures of the confidence."""
        return {'images': self.images, 'mean_iou': self.matrix.mean_iou(), 'accuracy': self.matrix.accuracy(), 'iou': self.matrix.iou(),
                **self.reliability.scores()}


@dataclass
class Measured:
    """What a report shows. Lists have an entry per member, in the order of members.

    calibrated: of the ensemble, when there is a calibration; left_out: of the others without this member, None where that
    cannot be told; differing and shared int64 (M, M): labelled pixels that two members label differently, and that both label.
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

    @property
    def pixels(self) -> int:
        return self.ensemble.reliability.pixels

    def disagreement(self) -> np.ndarray:
        """The share of pixels that two members label differently, (M, M); nan without a shared image."""
        with np.errstate(invalid='ignore'):
            return self.differing / np.where(self.shared > 0, self.shared, np.nan)


def measure(members: Members, options: FuseOptions, truths: Truths, worst: int = 12, readers: int = 2, log=None) -> Measured:
    """Everything that is known of the members and their ensemble on the images with labels.

    worst: how many images with the largest share of wrong pixels to keep pictures of. Raises ValueError naming files that
    do not fit together or to the labels.
    """
    stems, count, classes = truths.shared(members), len(members), truths.dataset.num_classes
    left_out = [Tally(classes) if can_leave(members, number, options) else None for number in range(count)]
    found = Measured(members, options, truths, [Tally(classes) for _ in range(count)], Tally(classes),
                     Tally(classes) if options.calibrator else None, left_out, np.zeros((count, count), np.int64), np.zeros((count, count), np.int64))
    stream = read_ahead(members, stems, readers, passes=2 if any(left_out) else 1)
    with one_thread():
        for stem in progress(stems, total=len(stems), desc='report', log=log):
            _measure_image(found, stem, stream, worst)
    found.worst.sort(reverse=True)
    return found


def _measure_image(found: Measured, stem: str, stream, worst: int):
    members, plain, labels = found.members, replace(found.options, calibrator=None, change_labels=False), {}
    truth = None

    def alone(store, values):
        nonlocal truth
        size, classes = values.shape[1:], len(values)
        truth = found.truths.read(stem, size, classes) if truth is None else truth
        pool = Pool(plain.needs, classes, size)
        pool.add(values, store.kind)
        fused = finish(pool, plain, len(members))
        number = members.stores.index(store)
        labels[number] = fused.prediction
        found.single[number].update(fused, truth)

    pool = pool_of(members, stem, stream, plain.needs, alone)
    fused = finish(pool, plain, len(members))
    found.ensemble.update(fused, truth)
    if any(found.left_out):
        _leave_out(found, stem, stream, pool, fused, truth, plain)
    if found.calibrated is not None:
        fused = finish(pool, found.options, len(members))
        found.calibrated.update(fused, truth)
    del pool
    known = truth < fused.probabilities.shape[0]
    _count_pairs(found, labels, known)
    _keep_worst(found.worst, worst, stem, fused, truth, known, list(labels.values()), found.truths.dataset)


def _leave_out(found: Measured, stem: str, stream, pool: Pool, fused, truth: Tensor, options: FuseOptions):
    """Second pass over the members of an image: what the others make of it. A member without the image changes nothing."""
    weights = dict(found.members.of(stem))
    for store, tally in zip(found.members.stores, found.left_out):
        if store not in weights:
            if tally is not None:
                tally.update(fused, truth)
            continue
        values, weight = next(stream).full(), weights[store]
        if tally is not None and _left(pool.weights - weight):
            tally.update(finish(pool.without(values, store.kind, weight), options, len(found.members)), truth)


def can_leave(members: Members, number: int, options: FuseOptions) -> bool:
    """Whether a member can be taken out of the sums: they are no extremes, and the others have a weight in every class."""
    others = [weight for other, weight in enumerate(members.weights) if other != number]
    return not options.needs & EXTREMES and _left(sum(others))


def _left(weights: float | Tensor) -> bool:
    return bool((torch.as_tensor(weights) > LEAST_WEIGHT).all())


def _count_pairs(found: Measured, labels: dict[int, Tensor], known: Tensor):
    labelled = {number: label[known] for number, label in labels.items()}
    pixels = int(known.sum())
    for number in labelled:
        found.shared[number, number] += pixels
    for first, second in itertools.combinations(labelled, 2):
        differing = int((labelled[first] != labelled[second]).sum())
        for pair in ((first, second), (second, first)):
            found.differing[pair] += differing
            found.shared[pair] += pixels


def _keep_worst(kept: list[Worst], count: int, stem: str, fused, truth: Tensor, known: Tensor, labels: list[Tensor], dataset):
    wrong, pixels = int(((fused.prediction != truth) & known).sum()), int(known.sum())
    share = wrong / max(pixels, 1)
    if not count or not pixels or len(kept) == count and (share, stem) <= (kept[0].share, kept[0].stem):
        return
    one = Worst(share, stem, wrong, pixels, picture(fused, truth, known, labels, dataset))
    (heapq.heappush if len(kept) < count else heapq.heapreplace)(kept, one)


def summary(found: Measured) -> dict:
    """report.json: plain values, shares in [0, 1]."""
    with_iou = {'ensemble': found.ensemble.scores()} | ({'calibrated': found.calibrated.scores()} if found.calibrated else {})
    return {'dataset': found.truths.dataset.name, 'split': found.truths.dataset.split, 'class_names': list(found.truths.dataset.class_names),
            'images': found.ensemble.images, 'pixels': found.pixels, 'fusion': found.options.fusion, 'score': found.options.score,
            'incomplete_images': found.members.missing,
            'members': [{**about, **tally.scores()} for about, tally in zip(describe(found.members), found.single)], **with_iou,
            'left_out': [None if tally is None else {'without': title, **tally.scores()} for title, tally in zip(found.members.titles, found.left_out)],
            'disagreement': found.disagreement(),
            'worst': [{'image': one.stem, 'wrong': one.wrong, 'pixels': one.pixels, 'share': one.share} for one in found.worst]}
