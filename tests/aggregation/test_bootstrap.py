import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from aggregation.benchmarks.bravo_scores import Resampling
from aggregation.statistics import bootstrap
from aggregation.statistics.bootstrap import image_weights, interval
from aggregation.statistics.levels import LEVELS, LevelCounts

CLASSES = 3


def tallies(count, pixels=50, seed=0):
    rng, made = np.random.default_rng(seed), {}
    for number in range(count):
        levels = rng.integers(0, LEVELS, pixels).astype(np.uint16)
        made[f'image {number}'] = SimpleNamespace(
            matrix=SimpleNamespace(counts=rng.integers(0, 1 << 20, (CLASSES, CLASSES))),
            correct=LevelCounts.of(levels[:-3], rng.random(pixels - 3) < 0.7),
            valid=LevelCounts.of(levels, rng.random(pixels) < 0.9),
        )
    return made


def resampled(made, count):
    resampling = Resampling(count, CLASSES)
    for name, tally in made.items():
        resampling.add(name, tally)
    return list(resampling.tallies())


def plain(made, count, number):
    """The sums of one resampling, image by image."""
    sums = [0] * 5
    for name, tally in made.items():
        times = image_weights(name, count)[number]
        images = (
            tally.matrix.counts,
            tally.correct.positives,
            tally.correct.totals,
            tally.valid.positives,
            tally.valid.totals,
        )
        sums = [total + times * image for total, image in zip(sums, images)]
    return sums


@pytest.mark.parametrize('in_memory', [bootstrap.IN_MEMORY, 1000])  # bytes; with 1000 the images wait on the disk
def test_every_resampling_is_the_sum_of_its_images_whatever_blocks_they_are_summed_in(monkeypatch, in_memory):
    monkeypatch.setattr(bootstrap, 'IN_MEMORY', in_memory)
    monkeypatch.setattr(bootstrap, 'SUMS', 1 << 20), monkeypatch.setattr(bootstrap, 'IMAGES', 1 << 18)
    made = tallies(19)
    # bytes of a resampling
    width = 8 * 4 * len(np.unique(np.concatenate([np.flatnonzero(tally.valid.totals) for tally in made.values()])))
    block, images = bootstrap.SUMS // width, bootstrap.IMAGES // width
    count = block + 5  # more than one block of each, the last not full
    assert block > 1 and 1 < images < 19 and 19 % images
    found = resampled(made, count)
    assert len(found) == count
    for number in (0, block - 1, block, count - 1):
        one = found[number]
        parts = (one.matrix.counts, one.correct.positives, one.correct.totals, one.valid.positives, one.valid.totals)
        assert all(
            np.array_equal(part, expected) and part.dtype == np.int64
            for part, expected in zip(parts, plain(made, count, number))
        )


def test_a_thousand_resamplings_take_little_more_memory_than_a_hundred():
    made, peaks = tallies(4, pixels=60_000), []
    for count in (100, 1000):
        tracemalloc.start()
        resampling = Resampling(count, CLASSES)
        for name, tally in made.items():
            resampling.add(name, tally)
        next(resampling.tallies())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20) and peaks[1] < 256 << 20  # dense histograms of all of them would be 1 GiB


def test_images_without_a_pixel_leave_the_histograms_empty():
    [one] = resampled({'a': tallies(1, pixels=3)['image 0']}, 1)
    assert one.correct.totals.sum() == 0 and one.valid.totals.sum() == 3 * image_weights('a', 1)[0]


def test_the_interval_holds_what_it_says_and_leaves_out_what_is_not_defined():
    assert (
        interval(np.arange(101.0), 0.9) == pytest.approx([5, 95])
        and interval([np.nan, 2.0]) == [2.0, 2.0]
        and interval([np.nan]) is None
    )
