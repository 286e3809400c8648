"""Resampling of images while they stream past: intervals of a benchmark's scores without keeping any image.

In the Poisson bootstrap (Chamandy et al., Google 2012) every image enters each resampling a Poisson(1) number of times.
The numbers are drawn from the image's name, so they depend on neither order nor number of threads.
"""
import hashlib

import numpy as np

from aggregation.levels import LEVELS, LevelCounts


def image_weights(name: str, count: int) -> np.ndarray:
    """int64 (count,): how many times the image called `name` enters each of `count` resamplings."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'little')
    return np.random.default_rng(seed).poisson(1.0, count)


def interval(values, level: float = 0.95) -> list[float] | None:
    """[low, high] that hold `level` of the values; nan is left out, None when nothing else is there."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(values) else None


class Resampling:
    """`count` resamplings of the tallies added: objects with `matrix`, `correct` and `valid` (see bravo.Tally).

    A resampling holds int32 counts of every level: 512 KiB of memory for each of the two histograms.
    """

    def __init__(self, count: int, num_classes: int):
        self.count = count
        self.matrices = np.zeros((count, num_classes, num_classes), np.int64)
        self.levels = {name: np.zeros((count, 2, LEVELS), np.int32) for name in ('correct', 'valid')}

    def add(self, name: str, tally):
        """Enter one image's tally under its name."""
        times = image_weights(name, self.count)
        self.matrices += times[:, None, None] * tally.matrix.counts
        for kind, total in self.levels.items():
            counts = getattr(tally, kind)
            present = np.flatnonzero(counts.totals)
            image = np.stack([counts.positives[present], counts.totals[present]]).astype(np.int32)
            for number in np.flatnonzero(times):
                total[number][:, present] += times[number] * image

    def tallies(self):
        """The resampled tallies, one after the other; the matrix, too, as an object with `.counts`."""
        for number in range(self.count):
            yield _Resampled(self.matrices[number], *(self._levels(kind, number) for kind in ('correct', 'valid')))

    def _levels(self, kind, number) -> LevelCounts:
        counts = LevelCounts()
        counts.positives, counts.totals = (row.astype(np.int64) for row in self.levels[kind][number])
        return counts


class _Resampled:
    def __init__(self, matrix, correct, valid):
        self.matrix, self.correct, self.valid = _Counts(matrix), correct, valid


class _Counts:
    def __init__(self, counts):
        self.counts = counts
