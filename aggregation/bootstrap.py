"""Resampling of images while they stream past: intervals of a benchmark's scores in constant memory.

In the Poisson bootstrap (Chamandy et al., Google 2012) every image enters each resampling a Poisson(1) number of times.
The numbers are drawn from the image's name, so they depend on neither order nor number of threads.
"""
import hashlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

import numpy as np

from aggregation.levels import LEVELS, LevelCounts

BLOCK = 32                              # resamplings that are summed at once: 64 MiB of sums, and as much to add
IMAGES = 16                             # images that are added to them at once: 32 MiB
IN_MEMORY = 64 << 20                    # bytes of images; beyond, they wait on the disk


def image_weights(name: str, count: int) -> np.ndarray:
    """int64 (count,): how many times the image called `name` enters each of `count` resamplings."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'little')
    return np.random.default_rng(seed).poisson(1.0, count)


def interval(values, level: float = 0.95) -> list[float] | None:
    """[low, high] that hold `level` of the values; nan is left out, None when nothing else is there."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(values) else None


class Resampled(NamedTuple):
    """A resampling, with the fields of the tallies that went into it. matrix has `counts` int64 (K, K)."""
    matrix: 'Counts'
    correct: LevelCounts
    valid: LevelCounts


class Counts(NamedTuple):
    counts: np.ndarray


class Resampling:
    """`count` resamplings of the tallies added: objects with `matrix`, `correct` and `valid` (see bravo.Tally).

    The histograms of an image are kept as the levels that occur in them, 0.1 to 0.8 MB, on the disk when they are many. The
    histograms of the resamplings, 1 MiB each, are summed from them block by block: weights (resamplings, images) times
    histograms (images, levels). Products are in float64, which is exact for counts below 2 ** 53.
    """

    def __init__(self, count: int, num_classes: int):
        self.count = count
        self.matrices = np.zeros((count, num_classes, num_classes), np.int64)
        self._times = []                                        # of each image, (count,)
        self._images = SpooledTemporaryFile(IN_MEMORY)          # noqa: SIM115 (lives until the last resampling was made)
        self._occupied = np.zeros(4 * LEVELS, bool)

    def add(self, name: str, tally):
        """Enter one image's tally under its name."""
        times = image_weights(name, self.count)
        self.matrices += times[:, None, None] * tally.matrix.counts
        self._times.append(times)
        counts = np.concatenate([tally.correct.positives, tally.correct.totals, tally.valid.positives, tally.valid.totals])
        present = np.flatnonzero(counts)
        self._occupied[present] = True
        for values in (present, counts[present]):
            np.save(self._images, values.astype(np.int32))

    def tallies(self) -> Iterator[Resampled]:
        """The resamplings, one after the other; once."""
        with self._images:
            for start in range(0, self.count, BLOCK):
                numbers = range(start, min(start + BLOCK, self.count))
                for number, counts in zip(numbers, self._block(slice(numbers.start, numbers.stop))):
                    rows = np.zeros(4 * LEVELS, np.int64)
                    rows[self._occupied] = counts
                    rows = rows.reshape(4, LEVELS)
                    yield Resampled(Counts(self.matrices[number]), _level_counts(*rows[:2]), _level_counts(*rows[2:]))

    def _block(self, numbers: slice) -> np.ndarray:
        """The sums (resamplings, occupied levels) of a block of resamplings."""
        place = np.cumsum(self._occupied) - 1
        sums = np.zeros((numbers.stop - numbers.start, place[-1] + 1))
        self._images.seek(0)
        for first in range(0, len(self._times), IMAGES):
            times = np.stack([times[numbers] for times in self._times[first:first + IMAGES]], 1)
            images = np.zeros((times.shape[1], sums.shape[1]))
            for image in images:
                present, counts = np.load(self._images), np.load(self._images)
                image[place[present]] = counts
            sums += times.astype(float) @ images
        return sums


def _level_counts(positives: np.ndarray, totals: np.ndarray) -> LevelCounts:
    counts = LevelCounts()
    counts.positives, counts.totals = positives, totals
    return counts
