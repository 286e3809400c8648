"""Score of an evaluation: the sink that counts pixels and sums the loss, image by image, and the numbers and table of
the result."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from engine.image_scores import ImageCounts, confidence_bins
from utils import metrics
from utils.boundary import boundary_counts
from utils.outputs.sink import EvalBatch, Sink

MEASURES = ('boundary', 'ece')  # what takes time of its own: --measures
# the numbers that choose a best checkpoint, and of which a low one is good
NUMBERS = ('loss', 'mean_iu', 'acc_cls', 'acc', 'fwavacc', 'dice', 'image_iu', 'image_dice', 'batch_iu', 'batch_dice')
MEASURED = {'boundary_iu': 'boundary', 'ece': 'ece'}  # number -> what has to be measured for it


@dataclass
class Score:
    """counts int64 (K, K), truth by prediction; loss: as of ScoreKeeper, nan without any pixel or image; images: what
    was counted of each; scales: {name: counts} of each scale alone (engine.scale_scores)."""

    counts: np.ndarray
    loss: float
    images: ImageCounts
    scales: dict[str, np.ndarray] = field(default_factory=dict)

    def numbers(self) -> dict:
        """The numbers of the line that published logs have, as plain floats."""
        return {
            'loss': self.loss,
            'mean_iu': metrics.mean_iou(self.counts),
            'acc_cls': metrics.mean_accuracy(self.counts),
            'acc': metrics.accuracy(self.counts),
            'fwavacc': metrics.fwiou(self.counts),
        }

    def all_numbers(self) -> dict:
        """Those, and the others of NUMBERS and MEASURED that were measured."""
        return {**self.numbers(), **self.images.numbers()}

    def ious(self, classes) -> dict:
        """{class: IoU}, nan for a class that is neither labelled nor predicted."""
        return dict(zip(classes.names, map(float, metrics.iou(self.counts))))

    def line(self) -> str:
        """The numbers in one line with five decimals, as published logs have them."""
        return line_of(self.numbers())

    def lines_beside(self) -> list[str]:
        """The other numbers, and a line for each scale that was scored alone."""
        scales = [
            f'{name}: {line_of({"mean_iu": metrics.mean_iou(counts), "acc": metrics.accuracy(counts)})}'
            for name, counts in self.scales.items()
        ]
        return [f'also : {line_of(self.images.numbers())}', *scales]

    def in_percent(self) -> str:
        """The mean IoU for a person: 'mean IoU 71.19 %'."""
        return f'mean IoU {100 * metrics.mean_iou(self.counts):.2f} %'

    def table(self, classes) -> str:
        """The scores of each class as text."""
        return metrics.format_table(self.counts, classes.names)

    def rows(self, classes) -> list | None:
        """The rows of a page's table: IoU, precision and recall of each class; None when nothing was counted."""
        if not self.counts.any():
            return None
        found = metrics.summary(self.counts, classes.names)['classes']
        return [
            {'class': name, **{key: score[key] for key in ('iou', 'precision', 'recall')}}
            for name, score in found.items()
        ]


def line_of(numbers: dict) -> str:
    return ', '.join(f'[{name} {value:0.5f}]' for name, value in numbers.items())


class ScoreKeeper(Sink):
    """Counts of (truth, prediction) and the loss of the labelled images: the cross-entropy, mean over all valid pixels,
    or a criterion's mean over images. Counts are int64, and all is kept image by image, so the score does not depend on
    world or batch size, but for the means over batches."""

    def __init__(self, num_classes: int, criterion=None, measures: Iterable[str] = ()):
        """measures: of MEASURES; the loss is a criterion's where there is one."""
        self.confusion = metrics.ConfusionMatrix(num_classes)
        self.criterion, self.measures = criterion, frozenset(measures)
        self.names: list = []  # (place in the data set, name, number of the batch) of each image
        self.kept: dict[str, list] = {}  # what is kept of each image, one tensor for each batch, by name
        self.batches = 0

    def wants(self, names, indices, labelled):
        return labelled

    def process(self, batch: EvalBatch):
        num_classes, labels = self.confusion.num_classes, batch.labels
        self.names += [(int(index), name, self.batches) for index, name in zip(batch.indices, batch.names)]
        self.batches += 1
        self._keep('counts', self.confusion.update_images(batch.prediction, labels))
        self._keep('loss', self._loss(batch))
        if 'boundary' in self.measures:
            self._keep('boundary', boundary_counts(batch.prediction, labels, num_classes))
        if 'ece' in self.measures:
            self._keep('bins', confidence_bins(batch.confidence, batch.prediction == labels, labels < num_classes))

    def _keep(self, what: str, values):
        self.kept.setdefault(what, []).append(values)

    def _loss(self, batch: EvalBatch) -> torch.Tensor:
        """(N, 2) float64: the loss of each image, and what it is divided by."""
        if self.criterion is None:
            return torch.stack(cross_entropy_sums(batch.as_logits, batch.normaliser, batch.labels), 1)
        pairs = zip(batch.as_logits.split(1), batch.labels.split(1))
        losses = [self.criterion({'pred': logits}, labels)['loss'].double() for logits, labels in pairs]
        return torch.stack([torch.stack([loss, torch.ones_like(loss)]) for loss in losses])

    def gather(self, dist) -> Score:
        """The score of all images of all ranks."""
        kept = {what: torch.cat(values).cpu().numpy() for what, values in self.kept.items()}
        counts, num_classes = self.confusion.counts, self.confusion.num_classes
        parts = dist.gather_objects((self.names, kept, counts))
        found = [(index, name, (rank, number)) for rank, part in enumerate(parts) for index, name, number in part[0]]
        order = sorted(range(len(found)), key=lambda place: found[place][0])
        arrays = {
            what: np.concatenate([part[1][what] for part in parts if what in part[1]])[order]
            for what in dict.fromkeys(name for part in parts for name in part[1])
        }
        arrays = arrays or {'counts': np.zeros((0, 3, num_classes), np.int64), 'loss': np.zeros((0, 2))}
        numbers = {batch: number for number, batch in enumerate(dict.fromkeys(batch for _, _, batch in found))}
        batches = np.array([numbers[found[place][2]] for place in order], np.int64)
        images = ImageCounts([found[place][1] for place in order], batches, **arrays)
        loss = float(metrics.ratio(*arrays['loss'].sum(0)))
        return Score(sum(part[2] for part in parts), loss, images)


def cross_entropy_sums(logits, normaliser, labels):
    """Of each image the sum over valid pixels of log-sum-exp minus the true class's logit, and their number: two
    (N,) float64."""
    valid = labels < logits.shape[1]
    truth = logits.gather(1, labels.long().clamp(max=logits.shape[1] - 1).unsqueeze(1)).squeeze(1)
    losses = (normaliser - truth) * valid
    return losses.flatten(1).sum(1, dtype=torch.float64), valid.flatten(1).sum(1).double()
