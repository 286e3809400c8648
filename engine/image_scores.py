"""Scores from counts of single images: means over images and batches, boundaries, calibration, intervals, and the table
of all images.

Of an image a few whole numbers per class are kept, so that memory does not depend on the sizes of images. Intervals are
those of a bootstrap over images (aggregation.statistics.bootstrap), drawn from their names: the same in every run.
"""

import csv
import io
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aggregation.statistics.bootstrap import image_weights, interval
from aggregation.statistics.levels import ECE_BINS, LEVELS, ece_edges
from utils.files.atomic import write_text
from utils.metrics import count_each, dice_of, iou_of, mean_over, ratio


@dataclass
class ImageCounts:
    """Of n images: counts int64 (n, 3, K), the pixels of each class that are right, labelled and predicted; loss
    float64 (n, 2), its sum and what it is divided by; batches (n,), the number of the batch of each.

    Where they were measured: boundary int64 (n, 3, K), of boundary pixels (utils.boundary); bins int64 (n, 3, bins), of
    `confidence_bins`.
    """

    names: list[str]
    batches: np.ndarray
    counts: np.ndarray
    loss: np.ndarray
    boundary: np.ndarray | None = None
    bins: np.ndarray | None = None

    def numbers(self) -> dict[str, float]:
        """dice, the means over images and over batches of IoU and Dice (of those with a labelled pixel), and what was
        measured: boundary_iu, ece."""
        of_batches = np.zeros((len(np.unique(self.batches)), *self.counts.shape[1:]), np.int64)
        np.add.at(of_batches, np.unique(self.batches, return_inverse=True)[1], self.counts)
        numbers = {'dice': mean_over(dice_of(self.counts.sum(0)))}
        for name, counts in (('image', self.counts), ('batch', of_batches)):
            numbers |= {f'{name}_iu': mean_over(mean_over(iou_of(counts)))}
            numbers |= {f'{name}_dice': mean_over(mean_over(dice_of(counts)))}
        if self.boundary is not None:
            numbers['boundary_iu'] = mean_over(iou_of(self.boundary.sum(0)))
        if self.bins is not None:
            numbers['ece'] = ece(self.bins.sum(0))
        return {name: float(value) for name, value in numbers.items()}

    def intervals(self, resamplings: int) -> dict[str, list[float]]:
        """[low, high] of the middle 95 % of resamplings of the images, of scores that have one; {} of a single
        image."""
        if len(self.names) < 2 or not resamplings:
            return {}
        times = np.stack([image_weights(name, resamplings) for name in self.names]).astype(float)

        def resampled(counts):
            return (times.T @ counts.reshape(len(counts), -1)).reshape(-1, *counts.shape[1:])

        sums = resampled(self.counts)
        scores = {
            'mean_iou': mean_over(iou_of(sums)),
            'mean_dice': mean_over(dice_of(sums)),
            'accuracy': ratio(sums[:, 0].sum(1), sums[:, 1].sum(1)),
        }
        if self.boundary is not None:
            scores['boundary_iou'] = mean_over(iou_of(resampled(self.boundary)))
        if self.bins is not None:
            scores['ece'] = ece(resampled(self.bins))
        found = {name: interval(values) for name, values in scores.items()}
        return {name: ends for name, ends in found.items() if ends is not None}

    def write_table(self, path, class_names):
        """Write a CSV file with a line per image; what an image has no score for is empty."""
        right, labelled = self.counts[:, 0].sum(1), self.counts[:, 1].sum(1)
        none = np.full(len(self.names), np.nan)
        columns = {
            'mean_iou': mean_over(iou_of(self.counts)),
            'mean_dice': mean_over(dice_of(self.counts)),
            'accuracy': ratio(right, labelled),
            'loss': ratio(self.loss[:, 0], self.loss[:, 1]),
            'ece': none if self.bins is None else ece(self.bins),
            'boundary_iou': none if self.boundary is None else mean_over(iou_of(self.boundary)),
            **{f'iou/{name}': of_class for name, of_class in zip(class_names, iou_of(self.counts).T)},
        }
        out = io.StringIO()
        writer = csv.writer(out, lineterminator='\n')
        writer.writerow(['name', 'pixels', *columns])
        for k, name in enumerate(self.names):
            values = [float(column[k]) for column in columns.values()]
            writer.writerow([name, int(labelled[k]), *('' if np.isnan(value) else repr(value) for value in values)])
        write_text(path, out.getvalue().encode('utf-8', 'surrogateescape').decode('utf-8', 'replace'))


def confidence_bins(confidence: Tensor, right: Tensor, counted: Tensor) -> Tensor:
    """int64 (N, 3, bins) of images (N, h, w): the pixels of each bin of the confidence, the sum of their levels
    (aggregation.statistics.levels), and those that are right.

    confidence: in [0, 1]; right, counted: bool, of which only counted pixels count. Sums of whole numbers: they are the
    same whatever the order.
    """
    levels = (confidence * LEVELS).long().clamp_(0, LEVELS - 1)
    place = (2 * levels + right).masked_fill_(~counted, 2 * LEVELS)
    found = count_each(place, 2 * LEVELS).view(len(place), LEVELS, 2)
    totals = found.sum(2)
    numbers = torch.arange(LEVELS, device=place.device)
    edges = torch.as_tensor(ece_edges()[1:-1], device=place.device)
    rows = torch.stack([totals, totals * numbers, found[:, :, 1]], 1)
    bins = rows.new_zeros(len(rows), 3, ECE_BINS)
    return bins.index_add_(2, torch.bucketize(numbers, edges, right=True), rows)


def ece(bins: np.ndarray) -> np.ndarray:
    """Expected calibration error (Naeini et al., AAAI 2015) of bins (..., 3, bins): |confidence - accuracy| of each,
    weighted by its pixels; nan without any. It is that of `ensemble.py calibrate` but for rounding."""
    pixels, levels, right = np.moveaxis(np.asarray(bins, float), -2, 0)
    return ratio(np.abs((levels + 0.5 * pixels) / LEVELS - right).sum(-1), pixels.sum(-1))
