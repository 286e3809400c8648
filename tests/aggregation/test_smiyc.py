import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from aggregation.benchmarks.smiyc_scores import TRACKS, Components, PixelPoints, Track, frame_points, overlaps


def pixel_scores(frames):
    return PixelPoints(frames).scores()


def components_of(track, scores, labels):
    return Components(track, [overlaps(scores, labels, 0.5, track)])


SCORES = np.array([[0.9, 0.8, 0.8, 0.3, 0.2, 0.1]], np.float32)
LABELS = np.array([[1, 1, 0, 1, 0, 0]], np.uint8)


def test_the_worked_example_of_pixel_scores():
    found = pixel_scores([frame_points(SCORES, LABELS)])
    assert found._asdict() == pytest.approx(
        {'aupr': 0.805556, 'fpr95': 1 / 3, 'auroc': 5 / 6, 'best_f1': 6 / 7, 'best_threshold': 0.3}, abs=1e-6
    )


def test_the_worked_example_of_component_scores():
    scores, labels = np.array([[0, 1, 1, 1, 1, 1, 1, 1, 0]], float), np.array([[1, 1, 1, 1, 0, 0, 1, 1, 1]], np.uint8)
    components = components_of(Track(0, 0), scores, labels)
    assert components.siou == pytest.approx([0.5, 0.4]) and components.ppv == pytest.approx([5 / 7])
    assert components.scores()['f1_mean'] == pytest.approx(0.484848, abs=1e-6)


def test_binned_pixel_scores_are_close_to_exact_ones():
    rng = np.random.default_rng(0)
    labels = (rng.random((8, 100, 300)) < 0.05).astype(np.uint8)
    scores = rng.normal(size=labels.shape) + 1.5 * labels
    found = pixel_scores([frame_points(*pair) for pair in zip(scores, labels)])
    assert found.aupr == pytest.approx(average_precision_score(labels.ravel(), scores.ravel()), abs=2e-3)
    assert found.auroc == pytest.approx(roc_auc_score(labels.ravel(), scores.ravel()), abs=1e-4)


def test_void_and_unknown_labels_do_not_count():
    void = np.array([[1, 1, 0, 1, 0, 0, 255, 7]], np.uint8)
    assert pixel_scores([frame_points(np.append(SCORES, [[5, -5]], 1), void)]) == pixel_scores(
        [frame_points(SCORES, LABELS)]
    )


def test_labels_without_an_anomaly_cannot_be_scored():
    with pytest.raises(ValueError, match='0 anomalous and 6 known'):
        pixel_scores([frame_points(SCORES, np.zeros_like(LABELS))])


def blocks(*boxes, size=(60, 60)):
    image = np.zeros(size, np.uint8)
    for top, left, height, width in boxes:
        image[top : top + height, left : left + width] = 1
    return image


def test_components_below_the_limits_of_a_track_do_not_count():
    labels = blocks((0, 0, 10, 10), (30, 30, 3, 3))  # 100 and 9 pixels
    scores = blocks((0, 0, 10, 10), (50, 50, 7, 7)).astype(float)  # 100 and 49 pixels
    components = components_of(TRACKS['obstacle'], scores, labels)  # 50 predicted, 10 true pixels
    assert components.siou == [1.0] and components.ppv == [1.0]


def test_a_missed_and_a_false_component():
    components = components_of(Track(1, 1), blocks((40, 40, 5, 5)).astype(float), blocks((0, 0, 5, 5)))
    assert components.siou == [0.0] and components.ppv == [0.0]
    assert components.scores() == {'f1_mean': 0.0, 'siou': 0.0, 'ppv': 0.0}


def test_diagonal_neighbours_are_one_component():
    components = components_of(Track(0, 0), np.eye(4), np.eye(4, dtype=np.uint8))
    assert components.siou == [1.0]


def test_no_component_at_all_is_nan_and_no_crash():
    components = components_of(Track(1, 1), np.zeros((5, 5)), np.zeros((5, 5), np.uint8))
    assert all(np.isnan(value) for value in components.scores().values())
