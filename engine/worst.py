"""Worst images of each class: those with the most false positives and the most false negatives.

A first pass over the dataset feeds the sink WorstImages, a second pass draws the pictures of the images it selected,
and page.write_topn_page lists them. Only n entries per class and kind of error are kept, whatever the size of the set.
"""

import heapq
from dataclasses import dataclass

import numpy as np
import torch

from utils.outputs.sink import EvalBatch, Sink


@dataclass(frozen=True)
class Failure:
    """An image and how many of its labelled pixels are wrong in one way. index: its position in the sorted dataset."""

    name: str
    index: int
    pixels: int


@dataclass
class ClassFailures:
    """The worst images of one class, most wrong pixels first."""

    label: int
    false_positives: list
    false_negatives: list


def false_counts(prediction: torch.Tensor, labels: torch.Tensor, num_classes: int, ignore_label: int):
    """False positives and false negatives of each class: two int64 arrays (K,), from integer maps (h, w) on any device.

    A pixel of truth t predicted as p is a false negative of t and a false positive of p; pixels without a label are
    neither.
    """
    wrong = (labels != prediction) & (labels >= 0) & (labels < num_classes) & (labels != ignore_label)
    counts = [torch.bincount(classes[wrong].long(), minlength=num_classes) for classes in (prediction, labels)]
    false_positives, false_negatives = torch.stack(counts).cpu().numpy()
    return false_positives, false_negatives


class WorstImages(Sink):
    """Keeps, per class, the n images with the most false positives and the n with the most false negatives.

    Ties go to the image that comes first in the dataset, so every world size selects the same images.
    """

    def __init__(self, n: int, num_classes: int, ignore_label: int = 255):
        assert n > 0
        self.n, self.num_classes, self.ignore_label = n, num_classes, ignore_label
        self._heaps = {(kind, label): [] for kind in ('fp', 'fn') for label in range(num_classes)}

    def wants(self, names, indices, labelled):
        return labelled

    def process(self, batch: EvalBatch):
        for k, (name, index) in enumerate(zip(batch.names, batch.indices, strict=True)):
            self.add(
                name,
                int(index),
                *false_counts(batch.prediction[k], batch.labels[k], self.num_classes, self.ignore_label),
            )

    def add(self, name: str, index: int, false_positives, false_negatives):
        """Add one image by its counts of wrong pixels, two integer sequences (K,)."""
        for kind, counts in (('fp', false_positives), ('fn', false_negatives)):
            for label in np.flatnonzero(counts):
                self._push(kind, int(label), (int(counts[label]), -index, name))

    def _push(self, kind, label, entry):
        heap = self._heaps[kind, label]
        if len(heap) < self.n:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)

    def gather(self, dist):
        """Itself, with what the other ranks have found in their images."""
        for rank, heaps in enumerate(dist.gather_objects(self._heaps)):
            if rank != dist.rank:
                for (kind, label), entries in heaps.items():
                    for entry in entries:
                        self._push(kind, label, entry)
        return self

    def tables(self) -> list:
        """ClassFailures of every class that has an error, in class order."""
        tables = [
            ClassFailures(label, self._sorted('fp', label), self._sorted('fn', label))
            for label in range(self.num_classes)
        ]
        return [table for table in tables if table.false_positives or table.false_negatives]

    def _sorted(self, kind, label):
        return [
            Failure(name, -negative, pixels)
            for pixels, negative, name in sorted(self._heaps[kind, label], reverse=True)
        ]

    def indices(self) -> list:
        """The positions of all selected images, each once, ascending: what the second pass evaluates."""
        return sorted({-negative for heap in self._heaps.values() for _, negative, _ in heap})
