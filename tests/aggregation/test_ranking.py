import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from aggregation.statistics import ranking

# Six pixels: scores from the highest, the two at 60000 share a block.
POSITIVES, TOTALS = np.array([1, 1, 1, 0, 0]), np.array([1, 2, 1, 1, 1])


def test_the_worked_example_of_the_benchmark():
    assert ranking.auroc(POSITIVES, TOTALS) == pytest.approx(5 / 6, abs=1e-15)
    assert ranking.fpr_at_tpr(POSITIVES, TOTALS) == pytest.approx(1 / 3, abs=1e-15)
    assert ranking.average_precision(POSITIVES, TOTALS) == pytest.approx(
        1 / 3 + 1 / 3 * 2 / 3 + 1 / 3 * 3 / 4, abs=1e-15
    )


def random_scores(seed=0, decimals=2):
    rng = np.random.default_rng(seed)
    positive = rng.random(3000) < 0.2
    return np.round(rng.normal(size=3000) + positive, decimals), positive


@pytest.mark.parametrize('decimals', [1, 2, 8])
def test_agrees_with_scikit_learn_with_and_without_ties(decimals):
    scores, positive = random_scores(1, decimals)
    blocks = ranking.count_blocks(scores, positive)[:2]
    assert ranking.auroc(*blocks) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    assert ranking.average_precision(*blocks) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert ranking.fpr_at_tpr(*blocks) == pytest.approx(fpr[np.searchsorted(tpr, 0.95)], abs=1e-12)


def test_a_rising_map_of_the_scores_changes_nothing():
    scores, positive = random_scores(2)
    before = [
        f(*ranking.count_blocks(scores, positive)[:2])
        for f in (ranking.auroc, ranking.fpr_at_tpr, ranking.average_precision)
    ]
    after = [
        f(*ranking.count_blocks(np.exp(scores) * 7, positive)[:2])
        for f in (ranking.auroc, ranking.fpr_at_tpr, ranking.average_precision)
    ]
    assert before == after


@pytest.mark.parametrize(
    'scores, auroc, fpr95, precision',
    [
        ([2, 2, 1, 1], 1.0, 0.0, 1.0),  # perfect
        ([1, 1, 2, 2], 0.0, 1.0, 0.5),  # inverted: the first positives come with all negatives above them
        ([1, 1, 1, 1], 0.5, 1.0, 0.5),  # constant
    ],
)
def test_perfect_inverted_and_constant_scores(scores, auroc, fpr95, precision):
    blocks = ranking.count_blocks(np.array(scores), np.array([True, True, False, False]))[:2]
    assert ranking.auroc(*blocks) == auroc
    assert ranking.fpr_at_tpr(*blocks) == fpr95
    assert ranking.average_precision(*blocks) == precision


def test_19_of_20_positives_above_all_negatives_are_enough_for_95_percent():
    blocks = ranking.count_blocks(np.r_[np.full(19, 3), 1, np.full(5, 2)], np.arange(25) < 20)[:2]
    assert ranking.fpr_at_tpr(*blocks) == 0.0


def test_what_is_not_defined_is_nan():
    assert math.isnan(ranking.auroc(np.array([2]), np.array([2])))
    assert math.isnan(ranking.fpr_at_tpr(np.array([0]), np.array([2])))
    assert math.isnan(ranking.average_precision(np.array([0]), np.array([2])))


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match='hold nan'):
        ranking.count_blocks(np.array([1.0, np.nan]), np.array([True, False]))
