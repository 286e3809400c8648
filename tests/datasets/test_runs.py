"""Run-length masks: packed text, whose lengths can be worked out by hand, and the order of the pixels."""

import numpy as np
import pytest

from datasets.prepare.drawing.runs import runs_mask, unpack


@pytest.mark.parametrize(
    'text, lengths',
    [
        ('231', [2, 3, 1]),
        ('231N4', [2, 3, 1, 1, 5]),  # the fourth is 3 - 2 (N is 48 + 30, -2 in five bits), the fifth 1 + 4
        ('T3', [100]),  # 100 = 4 + 32 * 3: chr(48 + 32 + 4), chr(48 + 3)
        ('`0', [16]),  # 16 alone would be negative: chr(48 + 32 + 16), chr(48)
        ('', []),
    ],
)
def test_packed_lengths_are_read(text, lengths):
    assert unpack(text) == lengths
    assert unpack(text.encode()) == lengths


@pytest.mark.parametrize('text', ['2 3', 'T', '\u00e9', 'o' * 20])
def test_text_that_holds_no_lengths_is_refused(text):
    with pytest.raises(ValueError, match='run-length mask'):
        unpack(text)


def test_runs_go_down_the_columns_or_along_the_rows():
    # 1 outside, 3 inside, 2 outside, of 2 rows and 3 columns
    assert runs_mask([1, 3, 2], (2, 3), by_columns=True).astype(int).tolist() == [[0, 1, 0], [1, 1, 0]]
    assert runs_mask([1, 3, 2], (2, 3), by_columns=False).astype(int).tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize('lengths', [[1, 3, 3], [1, 3], [7, -1], [2**62] * 4])
def test_runs_that_do_not_fill_the_mask_are_refused_before_memory_is_taken(lengths):
    with pytest.raises(ValueError, match='expected the 6 of 3x2'):
        runs_mask(lengths, (2, 3), by_columns=True)


def test_masks_packed_by_pycocotools_come_back():
    coco = pytest.importorskip('pycocotools.mask')
    for seed in range(20):
        mask = np.random.default_rng(seed).random((37, 61)) < seed / 20
        packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))['counts']
        assert np.array_equal(runs_mask(unpack(packed), mask.shape, by_columns=True), mask)
