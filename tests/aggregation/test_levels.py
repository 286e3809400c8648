import numpy as np
import pytest
import torch

from aggregation.statistics.calibration import Temperature
from aggregation.statistics.levels import LevelCounts, ece_edges, from_levels, to_levels

# The worked example of the BRAVO toolkit.
LEVELS_SEEN = np.array([65535, 60000, 60000, 40000, 20000, 0], np.uint16)
CORRECT = np.array([1, 1, 0, 1, 0, 0], bool)


def test_levels_are_floors_of_65536_and_never_wrap():
    assert to_levels(np.array([0.0, 0.5, 1.0, 65535 / 65536, 0.99999])).tolist() == [0, 32768, 65535, 65535, 65535]


def test_reading_a_level_is_off_by_half_a_level_at_most():
    values = np.random.default_rng(0).random(10000)
    assert np.abs(from_levels(to_levels(values)) - values).max() <= 2**-17


@pytest.mark.parametrize('values', [[1.1], [-0.01], [np.nan]])
def test_what_is_no_confidence_is_refused(values):
    words = rf'confidences between {values[0]:g} and {values[0]:g} cannot be written, expected \[0, 1\]; choose a score'
    with pytest.raises(ValueError, match=words):
        to_levels(np.array(values))


def test_the_bins_of_the_benchmark():
    assert ece_edges().tolist() == [
        0,
        4369,
        8738,
        13107,
        17476,
        21845,
        26214,
        30583,
        34953,
        39322,
        43691,
        48060,
        52429,
        56798,
        61167,
        65536,
    ]


def test_the_worked_example_of_the_benchmark():
    scores = LevelCounts.of(LEVELS_SEEN, CORRECT).scores()
    assert scores['ece'] == pytest.approx(0.2543182, abs=5e-8)
    assert [scores[key] for key in ('auroc', 'fpr95', 'auprc_success', 'auprc_error')] == pytest.approx(
        [5 / 6, 1 / 3, 0.805556, 0.866667], abs=1e-6
    )


def test_counts_of_images_add_up():
    parts = LevelCounts()
    for half in (slice(0, 2), slice(2, 6)):
        parts.add(LevelCounts.of(LEVELS_SEEN[half], CORRECT[half]))
    assert parts.scores() == LevelCounts.of(LEVELS_SEEN, CORRECT).scores()


def test_a_perfectly_calibrated_confidence_has_no_calibration_error():
    levels = np.repeat(np.array([16384, 49152], np.uint16), 1000)
    correct = np.r_[np.arange(1000) < 250, np.arange(1000) < 750]
    assert LevelCounts.of(levels, correct).ece() < 1e-5


def test_a_rising_map_of_the_confidence_leaves_four_of_the_five_scores():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 200, 5000).astype(np.uint16)
    correct = rng.random(5000) < levels / 400 + 0.3
    before, after = (LevelCounts.of(values, correct).scores() for values in (levels, levels * 300 + 7))
    assert before.pop('ece') != after.pop('ece')
    assert before == after


def test_bins_say_pixels_confidence_and_accuracy():
    totals, confidence, accuracy = LevelCounts.of(LEVELS_SEEN, CORRECT).bins()
    assert totals[[0, 4, 9, 13, 14]].tolist() == [1, 1, 1, 2, 1]
    assert accuracy[[13, 14]].tolist() == [0.5, 1.0]
    assert confidence[13] == pytest.approx(60000.5 / 65536)


def test_no_pixels_give_nan():
    assert all(np.isnan(value) for value in LevelCounts().scores().values())


def test_a_temperature_ranks_confidences_that_would_share_the_last_level():
    logits = torch.tensor([[12.0, 15.0, 18.0], [0.0, 0.0, 0.0]])
    p = torch.softmax(logits, 0)
    # in float32 the last is even 1
    assert to_levels(p.amax(0).numpy()).tolist() == [65535] * 3 and p[0, 2] == 1
    spread = to_levels(Temperature(2.0).probabilities(p).amax(0).numpy())
    # 1 / (1 + exp(-6)), exp(-7.5) and exp(-9)
    assert spread.tolist() == [65373, 65499, 65527]
