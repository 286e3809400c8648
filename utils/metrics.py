"""Confusion matrix and the scores read from it: IoU, precision, recall, accuracy.

Counts are int64 throughout: rows are truth, columns prediction, so a class's false positives lie in its column and its
false negatives in its row. A class that occurs in neither has no score (nan) and is left out of means.
"""

import numpy as np
import torch


class ConfusionMatrix:
    """Counts of (truth, prediction) pixel pairs over any number of images; labels outside [0, K) are not counted.

    On a GPU nothing waits for the device until `.counts` or a score is read, and only then a prediction outside [0, K)
    is reported; on a CPU update() itself raises and leaves the counts as they were.
    """

    def __init__(self, num_classes):
        self.num_classes = num_classes
        # the last row takes labels that do not count, the last column impossible predictions
        self._side = num_classes + 1
        self._table = torch.zeros(self._side**2, dtype=torch.int64)

    def update(self, predictions, labels):
        """Add images: predictions and labels of one shape, any shape, any integer type, torch (any device) or numpy."""
        predictions, labels = _as_integers(predictions, 'predictions'), _as_integers(labels, 'labels')
        if predictions.shape != labels.shape:
            raise ValueError(
                f'confusion matrix: predictions {tuple(predictions.shape)} and labels {tuple(labels.shape)} differ in'
                ' shape; resize the predictions to the label size'
            )
        if predictions.numel() == 0:
            return
        predictions, labels = predictions.flatten(), labels.flatten()
        if self._table.device != predictions.device:
            self._table = self._table.to(predictions.device)
        if predictions.device.type == 'cpu':
            self._table += self._count(predictions, labels)
        # no check, and no bincount: both would wait for the largest value
        else:
            index = _capped(labels.long(), self.num_classes) * self._side + _capped(
                predictions.long(), self.num_classes
            )
            self._table.scatter_add_(0, index, self._table.new_ones(()).expand(len(index)))

    def update_images(self, predictions, labels):
        """Add images, predictions and labels (N, h, w) of torch's integers, and return what each of them adds: int64
        (N, 3, K) on their device, the pixels of each class that are right, labelled and predicted."""
        count, size = len(predictions), self._side**2
        if predictions.device.type == 'cpu':
            tables = torch.stack([self._count(*pair) for pair in zip(predictions.flatten(1), labels.flatten(1))])
        else:
            index = _capped(labels.long(), self.num_classes) * self._side + _capped(
                predictions.long(), self.num_classes
            )
            tables = count_each(index, size)
        self._table = self._table.to(tables.device) + tables.sum(0)
        inner = tables.view(count, self._side, self._side)[:, :-1, :-1]
        return torch.stack([inner.diagonal(dim1=1, dim2=2), inner.sum(2), inner.sum(1)], 1)

    def _count(self, predictions, labels):
        """The table of one CPU image; index arithmetic in the narrowest type, for it is memory that limits here."""
        smallest, largest = (int(value) for value in predictions.aminmax())
        if smallest < 0 or largest >= self.num_classes:
            raise ValueError(
                f'confusion matrix: predictions hold values {smallest} to {largest}; expected class ids '
                f'0..{self.num_classes - 1}, the argmax of logits with {self.num_classes} channels'
            )
        dtype = torch.int16 if self._side**2 < 2**15 else torch.int32
        smallest, largest = (int(value) for value in labels.aminmax())
        if smallest < 0 or largest > torch.iinfo(dtype).max:
            labels = _capped(labels.long(), self.num_classes)
        index = labels.to(dtype, copy=True).clamp_(max=self.num_classes).mul_(self._side).add_(predictions.to(dtype))
        return torch.bincount(index, minlength=self._side**2)

    def update_from_counts(self, counts):
        """Add counts (K, K), truth by prediction, numpy or torch (for instance another rank's)."""
        counts = torch.as_tensor(counts)
        if counts.shape != (self.num_classes, self.num_classes) or counts.is_floating_point():
            raise ValueError(
                f'confusion matrix: counts {tuple(counts.shape)} {counts.dtype} cannot be added; '
                f'expected integers of shape ({self.num_classes}, {self.num_classes})'
            )
        inner = self._table.view(self._side, self._side)[:-1, :-1]
        inner += counts.to(inner)

    def merge(self, other):
        """Add another confusion matrix of the same number of classes; returns self."""
        self.update_from_counts(other.counts)
        return self

    @property
    def counts(self):
        """int64 numpy (K, K): [truth, prediction]."""
        table = self._table.cpu().view(self._side, self._side)
        impossible = int(table[:, -1].sum())
        if impossible:
            raise ValueError(
                f'confusion matrix: {impossible} predictions are outside 0..{self.num_classes - 1}; '
                f'expected the argmax of logits with {self.num_classes} channels'
            )
        return table[:-1, :-1].numpy().copy()

    def iou(self):
        return iou(self.counts)

    def mean_iou(self):
        return mean_iou(self.counts)

    def precision(self):
        return precision(self.counts)

    def recall(self):
        return recall(self.counts)

    def accuracy(self):
        return accuracy(self.counts)

    def mean_accuracy(self):
        return mean_accuracy(self.counts)

    def fwiou(self):
        return fwiou(self.counts)


def _as_integers(values, name):
    if not isinstance(values, torch.Tensor):
        values = np.asarray(values)
        if values.dtype in (np.uint16, np.uint32, np.uint64):
            values = values.astype(np.int64)  # torch has few operations for these
        if not values.flags.writeable or any(stride < 0 for stride in values.strides):
            values = values.copy()  # torch can wrap neither
        values = torch.from_numpy(values)
    if values.is_floating_point() or values.is_complex():
        raise ValueError(
            f'confusion matrix: {name} are {values.dtype}; expected integer class ids (take the argmax of logits)'
        )
    return values


def _capped(values, num_classes):
    """Values outside [0, K) as K."""
    return values.masked_fill((values < 0) | (values >= num_classes), num_classes)


def count_each(values, count):
    """How often each image of values int64 (N, h, w) holds 0 .. count - 1, int64 (N, count); `count` itself, for what
    is none, is left out. Nothing waits for a GPU."""
    if values.device.type == 'cpu':
        return torch.stack([torch.bincount(image, minlength=count + 1)[:count] for image in values.flatten(1)])
    place = values.flatten(1) + torch.arange(len(values), device=values.device)[:, None] * (count + 1)
    table = torch.zeros(len(values) * (count + 1), dtype=torch.int64, device=values.device)
    table.scatter_add_(0, place.flatten(), table.new_ones(()).expand(place.numel()))
    return table.view(len(values), count + 1)[:, :count]


def ratio(part, whole):
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(whole > 0, part / whole, np.nan)


def _mean(scores):
    """The mean over classes that have a score; nan when none has."""
    return float(mean_over(scores))


def mean_over(scores, axis=-1):
    """The mean along an axis of what is not nan; nan where nothing else is."""
    found = ~np.isnan(scores)
    return ratio(np.where(found, scores, 0).sum(axis), found.sum(axis))


def iou(counts):
    """TP / (TP + FP + FN) of each class, (K,)."""
    correct = np.diag(counts)
    return ratio(correct, counts.sum(0) + counts.sum(1) - correct)


def dice(counts):
    """2 TP / (2 TP + FP + FN) of each class, (K,): the F1 score of its pixels."""
    return ratio(2 * np.diag(counts), counts.sum(0) + counts.sum(1))


def mean_dice(counts):
    return _mean(dice(counts))


def iou_of(sums):
    """IoU (..., K) of sums (..., 3, K): the pixels of each class that are right, labelled and predicted."""
    right, labelled, predicted = np.moveaxis(np.asarray(sums), -2, 0)
    return ratio(right, labelled + predicted - right)


def dice_of(sums):
    """Dice (..., K) of such sums."""
    right, labelled, predicted = np.moveaxis(np.asarray(sums), -2, 0)
    return ratio(2 * right, labelled + predicted)


def precision(counts):
    """TP / (TP + FP) of each class: the share of pixels predicted as the class that are it."""
    return ratio(np.diag(counts), counts.sum(0))


def recall(counts):
    """TP / (TP + FN) of each class: the share of the class's pixels that are predicted as it."""
    return ratio(np.diag(counts), counts.sum(1))


def accuracy(counts):
    """The share of all counted pixels that are right."""
    return float(ratio(np.trace(counts), counts.sum()))


def mean_accuracy(counts):
    """Mean recall over the classes that occur in the labels."""
    return _mean(recall(counts))


def mean_iou(counts):
    return _mean(iou(counts))


def fwiou(counts):
    """IoU weighted by each class's share of the labels."""
    share = ratio(counts.sum(1), counts.sum())
    return float(np.nansum(share * iou(counts))) if counts.sum() else float('nan')


def group_iou(counts, groups):
    """IoU (G,) of groups of classes: a pixel is right where the predicted class is in the group of the true one.

    groups: the class ids of each. Pixels of a class that is in no group count as wrong where a group is predicted.
    """
    found = []
    for group in groups:
        group = list(group)
        right = counts[np.ix_(group, group)].sum()
        found.append(ratio(right, counts[group].sum() + counts[:, group].sum() - right))
    return np.array(found, float)


def summary(counts, class_names):
    """Scores and pixel counts as a JSON-ready dict; None where a score does not exist."""

    def plain(value):
        return None if np.isnan(value) else float(value)

    correct = np.diag(counts)
    classes = {
        name: {
            'iou': plain(i),
            'dice': plain(d),
            'precision': plain(p),
            'recall': plain(r),
            'tp': int(tp),
            'fp': int(fp),
            'fn': int(fn),
        }
        for name, i, d, p, r, tp, fp, fn in zip(
            class_names,
            iou(counts),
            dice(counts),
            precision(counts),
            recall(counts),
            correct,
            counts.sum(0) - correct,
            counts.sum(1) - correct,
        )
    }
    return {
        'mean_iou': plain(mean_iou(counts)),
        'mean_dice': plain(mean_dice(counts)),
        'accuracy': plain(accuracy(counts)),
        'mean_accuracy': plain(mean_accuracy(counts)),
        'fwiou': plain(fwiou(counts)),
        'pixels': int(counts.sum()),
        'classes': classes,
    }


def format_table(counts, class_names):
    """The per-class table as text: scores in percent, counts in pixels, '-' where a score does not exist."""

    def percent(value):
        return '-' if np.isnan(value) else f'{100 * value:.2f}'

    correct = np.diag(counts)
    rows = [('id', 'class', 'IoU %', 'precision %', 'recall %', 'TP', 'FP', 'FN')]
    for k, (name, i, p, r) in enumerate(zip(class_names, iou(counts), precision(counts), recall(counts))):
        false_positives, false_negatives = counts[:, k].sum() - correct[k], counts[k].sum() - correct[k]
        rows.append(
            (
                str(k),
                name,
                percent(i),
                percent(p),
                percent(r),
                f'{correct[k]:d}',
                f'{false_positives:d}',
                f'{false_negatives:d}',
            )
        )
    rows.append(
        (
            '',
            'mean',
            percent(mean_iou(counts)),
            percent(_mean(precision(counts))),
            percent(mean_accuracy(counts)),
            '',
            '',
            '',
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append('  '.join(cells).rstrip())
    return '\n'.join(lines)
