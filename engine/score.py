"""Score of an evaluation: the sink that counts pixels and sums the loss, and the table and files of the result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from utils import metrics
from utils.files.atomic import write_json, write_npy
from utils.outputs.sink import EvalBatch, Sink
from utils.pages.confusion_matrix import write_confusion_matrix


@dataclass
class Score:
    """counts int64 (K, K), truth by prediction; loss: as of ScoreKeeper, nan without any pixel or image."""

    counts: np.ndarray
    loss: float

    def numbers(self) -> dict:
        """The numbers that are logged of every evaluation, as plain floats."""
        return {
            'loss': self.loss,
            'mean_iu': metrics.mean_iou(self.counts),
            'acc_cls': metrics.mean_accuracy(self.counts),
            'acc': metrics.accuracy(self.counts),
            'fwavacc': metrics.fwiou(self.counts),
        }

    def ious(self, classes) -> dict:
        """{class: IoU}, nan for a class that is neither labelled nor predicted."""
        return dict(zip(classes.names, map(float, metrics.iou(self.counts))))

    def line(self) -> str:
        """The numbers in one line with five decimals, as published logs have them."""
        return ', '.join(f'[{name} {value:0.5f}]' for name, value in self.numbers().items())

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

    def write(self, result_dir, classes, about: dict):
        """Write metrics.json (about: what was evaluated and how), confusion_matrix.npy and .png."""
        folder, summary = Path(result_dir), metrics.summary(self.counts, classes.names)
        write_json(folder / 'metrics.json', {**about, 'loss': self.loss, **summary})
        write_npy(folder / 'confusion_matrix.npy', self.counts)
        write_confusion_matrix(folder / 'confusion_matrix.png', self.counts, classes.names)


class ScoreKeeper(Sink):
    """Counts of (truth, prediction) and the loss of the labelled images: the cross-entropy, mean over all valid pixels,
    or a criterion's mean over images. Counts are int64 and all is added over ranks and images one by one, so the score
    does not depend on world or batch size."""

    def __init__(self, num_classes: int, device, criterion=None):
        self.confusion = metrics.ConfusionMatrix(num_classes)
        self.criterion = criterion
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.weight = torch.zeros((), dtype=torch.int64, device=device)  # pixels, or images of a criterion

    def wants(self, names, indices, labelled):
        return labelled

    def process(self, batch: EvalBatch):
        self.confusion.update(batch.prediction, batch.labels)
        if self.criterion is None:
            total, valid = cross_entropy_sum(batch.as_logits, batch.normaliser, batch.labels)
            self.loss_sum += total
            self.weight += valid
            return
        for logits, labels in zip(batch.as_logits.split(1), batch.labels.split(1)):
            self.loss_sum += self.criterion({'pred': logits}, labels)['loss']
            self.weight += 1

    def gather(self, dist) -> Score:
        """The score of all images of all ranks."""
        counts = torch.as_tensor(self.confusion.counts, dtype=torch.int64).to(dist.device)
        for tensor in (counts, self.loss_sum, self.weight):
            dist.all_reduce_sum(tensor)
        loss = (self.loss_sum / self.weight).item() if self.weight.item() else float('nan')
        return Score(counts.cpu().numpy(), loss)


def cross_entropy_sum(logits, normaliser, labels):
    """The sum over valid pixels of log-sum-exp minus the true class's logit (fp64), and their number (int64)."""
    valid = labels < logits.shape[1]
    truth = logits.gather(1, labels.long().clamp(max=logits.shape[1] - 1).unsqueeze(1)).squeeze(1)
    return ((normaliser - truth) * valid).sum(dtype=torch.float64), valid.sum()
