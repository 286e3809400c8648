"""Bootstrap over images while they stream past: intervals of a benchmark's scores in constant memory.

In the Poisson bootstrap (Chamandy et al., Google 2012) every image enters each resampling a Poisson(1) number of times.
The numbers are drawn from the image's name, so they depend on neither order nor number of threads.
"""

import hashlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

import numpy as np

SUMS = 64 << 20  # bytes of the resamplings that are summed at once, and as much to add
IMAGES = 32 << 20  # bytes of the images that are added to them at once
IN_MEMORY = 64 << 20  # bytes of images; beyond, they wait on the disk


def image_weights(name: str, count: int) -> np.ndarray:
    """int64 (count,): how many times the image called `name` enters each of `count` resamplings."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'little')
    return np.random.default_rng(seed).poisson(1.0, count)


def interval(values, level: float = 0.95) -> list[float] | None:
    """[low, high] that hold `level` of the values; nan is left out, None when nothing else is there."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(values) else None


def intervals(rounds: list[dict]) -> dict[str, list[float] | None]:
    """key -> the interval of its values over the resamplings; all have the same keys."""
    return {key: interval([one[key] for one in rounds]) for key in rounds[0]}


def undefined(rounds: list[dict]) -> int:
    """How many resamplings leave a value nan that others define."""
    lost = np.isnan([list(one.values()) for one in rounds])
    return int(lost[:, ~lost.all(0)].any(1).sum())


class Histograms:
    """`count` resamplings of histograms int64 (rows, levels), to which every image adds at few of the levels.

    Images are kept as the levels that occur in them, on the disk when they are many. The resamplings are summed from
    them block by block: weights (resamplings, images) times histograms (images, levels that occur in any). Products are
    in float64, which is exact for counts below 2 ** 53.
    """

    def __init__(self, count: int, rows: int, levels: int):
        self.count, self.rows = count, rows
        self._times = []  # of each image, (count,)
        self._images = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (lives until the last resampling was made)
        self._occupied = np.zeros(levels, bool)

    def add(self, times: np.ndarray, present: np.ndarray, counts: np.ndarray):
        """Enter an image that is drawn `times` (count,), with counts (rows, n) at the levels `present` (n,)."""
        self._times.append(times.astype(np.uint8, copy=False))  # Poisson(1) above 255: never
        self._occupied[present] = True
        for values in (present, counts):
            np.save(self._images, values.astype(np.int32))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(levels ascending (n,), counts int64 (rows, n)) of one resampling after the other; once.

        n levels occur in some image.
        """
        levels = np.flatnonzero(self._occupied)
        size = max(8 * self.rows * len(levels), 1)
        with self._images:
            for numbers in _slices(self.count, SUMS // size):
                for counts in self._block(numbers, len(levels), IMAGES // size):
                    yield levels, counts.astype(np.int64)

    def _block(self, numbers: slice, levels: int, at_once: int) -> np.ndarray:
        """The sums (resamplings, rows, levels) of some resamplings."""
        place = np.cumsum(self._occupied) - 1
        sums = np.zeros((numbers.stop - numbers.start, self.rows * levels))
        self._images.seek(0)
        for some in _slices(len(self._times), at_once):
            times = np.stack([times[numbers] for times in self._times[some]], 1)
            images = np.zeros((times.shape[1], self.rows, levels))
            for image in images:
                present, counts = np.load(self._images), np.load(self._images)
                image[:, place[present]] = counts
            sums += times.astype(float) @ images.reshape(len(images), -1)
        return sums.reshape(-1, self.rows, levels)


def _slices(count: int, size: int) -> Iterator[slice]:
    """0 to `count` in slices of `size`, at least 1."""
    for start in range(0, count, max(size, 1)):
        yield slice(start, min(start + max(size, 1), count))
