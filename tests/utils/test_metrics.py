"""Confusion matrix against scikit-learn and the plain count, scores against numbers worked out by hand."""

import json

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from scripts.baseline_losses import plain_confusion_matrix
from utils import metrics
from utils.metrics import ConfusionMatrix

# rows: truth, columns: prediction; class 2 occurs nowhere
COUNTS = np.array([[10, 0, 0], [5, 5, 0], [0, 0, 0]])


def images(classes, shape=(33, 41), seed=0):
    rng = np.random.default_rng(seed)
    predictions, labels = rng.integers(0, classes, shape), rng.integers(0, classes, shape)
    labels[:3] = 255
    return predictions, labels


@pytest.mark.parametrize('classes', [2, 19, 20, 65, 200])
def test_counts_equal_scikit_learn(classes):
    predictions, labels = images(classes)
    if classes == 200:
        labels[:3] = -1
    matrix = ConfusionMatrix(classes)
    matrix.update(torch.from_numpy(predictions), torch.from_numpy(labels))
    valid = (labels >= 0) & (labels < classes)
    expected = oracle.confusion_matrix(labels[valid], predictions[valid], labels=range(classes))
    assert matrix.counts.dtype == np.int64
    assert (matrix.counts == expected).all()
    assert (
        plain_confusion_matrix(torch.from_numpy(predictions), torch.from_numpy(labels), classes).numpy() == expected
    ).all()


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize('as_torch', [True, False])
def test_any_integer_type_gives_the_same_counts(dtype, as_torch):
    predictions, labels = images(5)
    expected, matrix = ConfusionMatrix(5), ConfusionMatrix(5)
    expected.update(predictions, labels)
    given = [values.astype(dtype) for values in (predictions, labels)]
    if as_torch and dtype is not np.uint16:
        given = [torch.from_numpy(values) for values in given]
    matrix.update(*given)
    assert (matrix.counts == expected.counts).all() and matrix.counts.sum() == 30 * 41


def test_a_single_class_is_counted():
    matrix = ConfusionMatrix(1)
    matrix.update(torch.tensor([0, 0, 0]), torch.tensor([0, 255, 0]))
    assert matrix.counts.tolist() == [[2]] and matrix.mean_iou() == 1


def test_rows_are_truth_and_columns_prediction():
    matrix = ConfusionMatrix(3)
    matrix.update(predictions=torch.tensor([2, 2, 0]), labels=torch.tensor([1, 1, 0]))
    assert matrix.counts.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


@pytest.mark.parametrize('label', [3, 255, -1, -100, 2**16, 2**16 + 1, 2**32, -(2**40)])
def test_labels_outside_the_classes_are_not_counted(label):
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([0, 1, 2]), torch.tensor([0, label, 2]))
    assert matrix.counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize('prediction', [3, 255, -1, 2**16, 2**32 + 1])
def test_predictions_outside_the_classes_are_refused_and_change_nothing(prediction):
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([1]), torch.tensor([1]))
    with pytest.raises(
        ValueError,
        match=f'predictions hold values {min(0, prediction)} to {max(0, prediction)}; expected class ids 0..2',
    ):
        matrix.update(torch.tensor([0, prediction]), torch.tensor([0, 0]))
    assert matrix.counts.sum() == 1


def test_logits_instead_of_class_ids_are_refused():
    with pytest.raises(ValueError, match='predictions are torch.float32; expected integer class ids'):
        ConfusionMatrix(3).update(torch.zeros(4), torch.zeros(4, dtype=torch.long))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r'predictions \(4, 4\) and labels \(2, 2\) differ in shape'):
        ConfusionMatrix(3).update(torch.zeros(4, 4, dtype=torch.long), torch.zeros(2, 2, dtype=torch.long))


def test_read_only_flipped_and_empty_arrays_are_taken():
    predictions, labels = images(4)
    flipped = ConfusionMatrix(4)
    labels.flags.writeable = False
    flipped.update(predictions[:, ::-1], labels[:, ::-1])
    flipped.update(predictions[:0], labels[:0])
    plain = ConfusionMatrix(4)
    plain.update(predictions, labels)
    assert (flipped.counts == plain.counts).all()


def test_updating_leaves_the_images_as_they_were():
    predictions, labels = (torch.from_numpy(values).short() for values in images(4))
    before = predictions.clone(), labels.clone()
    ConfusionMatrix(4).update(predictions, labels)
    assert torch.equal(predictions, before[0]) and torch.equal(labels, before[1])


def test_images_add_up_and_matrices_merge():
    whole, first, second = ConfusionMatrix(6), ConfusionMatrix(6), ConfusionMatrix(6)
    for seed, part in enumerate((first, second)):
        whole.update(*images(6, seed=seed))
        part.update(*images(6, seed=seed))
    assert first.merge(second) is first
    assert (first.counts == whole.counts).all()


def test_counts_beyond_float32_stay_exact():
    matrix = ConfusionMatrix(2)
    matrix.update_from_counts(np.array([[2**53 + 1, 0], [0, 2**24 + 1]]))
    matrix.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert matrix.counts.tolist() == [[2**53 + 2, 0], [0, 2**24 + 2]]


def test_counts_of_another_shape_or_type_are_refused():
    with pytest.raises(ValueError, match=r'expected integers of shape \(3, 3\)'):
        ConfusionMatrix(3).update_from_counts(np.zeros((2, 2), dtype=np.int64))
    with pytest.raises(ValueError, match='float64'):
        ConfusionMatrix(3).update_from_counts(np.zeros((3, 3)))


def test_precision_counts_false_positives_down_the_column():
    assert metrics.precision(COUNTS[:2, :2]).tolist() == [10 / 15, 1.0]


def test_recall_counts_false_negatives_along_the_row():
    assert metrics.recall(COUNTS[:2, :2]).tolist() == [1.0, 0.5]


def test_precision_and_recall_agree_with_scikit_learn():
    predictions, labels = images(7)
    matrix = ConfusionMatrix(7)
    matrix.update(predictions, labels)
    truth, predicted = labels[labels < 7], predictions[labels < 7]
    assert matrix.precision() == pytest.approx(oracle.precision_score(truth, predicted, average=None), rel=1e-12)
    assert matrix.recall() == pytest.approx(oracle.recall_score(truth, predicted, average=None), rel=1e-12)
    assert matrix.iou() == pytest.approx(oracle.jaccard_score(truth, predicted, average=None), rel=1e-12)
    assert matrix.mean_accuracy() == pytest.approx(oracle.balanced_accuracy_score(truth, predicted), rel=1e-12)


def test_scores_by_hand():
    matrix = ConfusionMatrix(3)
    matrix.update_from_counts(COUNTS)
    assert matrix.iou()[:2].tolist() == [10 / 15, 5 / 10] and np.isnan(matrix.iou()[2])
    assert matrix.mean_iou() == pytest.approx((10 / 15 + 5 / 10) / 2)
    assert matrix.accuracy() == 15 / 20
    assert matrix.mean_accuracy() == (1 + 0.5) / 2
    assert matrix.fwiou() == pytest.approx(0.5 * 10 / 15 + 0.5 * 5 / 10)


def test_a_class_that_is_only_predicted_has_an_iou_of_zero():
    assert metrics.mean_iou(np.array([[6, 2], [0, 0]])) == (6 / 8 + 0) / 2


def test_an_empty_matrix_has_no_scores():
    matrix = ConfusionMatrix(2)
    assert all(
        np.isnan(score) for score in (matrix.mean_iou(), matrix.accuracy(), matrix.mean_accuracy(), matrix.fwiou())
    )


def test_the_table_shows_percent_and_pixels():
    lines = metrics.format_table(COUNTS, ['road', 'car', 'train']).splitlines()
    assert lines[0].split() == ['id', 'class', 'IoU', '%', 'precision', '%', 'recall', '%', 'TP', 'FP', 'FN']
    assert [line.split() for line in lines[1:]] == [
        ['0', 'road', '66.67', '66.67', '100.00', '10', '5', '0'],
        ['1', 'car', '50.00', '100.00', '50.00', '5', '0', '5'],
        ['2', 'train', '-', '-', '-', '0', '0', '0'],
        ['mean', '58.33', '83.33', '75.00'],
    ]


def test_dice_is_twice_the_shared_pixels_over_both_masks():
    assert metrics.dice(COUNTS)[:2].tolist() == [20 / 25, 10 / 15] and np.isnan(metrics.dice(COUNTS)[2])
    assert metrics.mean_dice(COUNTS) == pytest.approx((20 / 25 + 10 / 15) / 2)


def test_counts_of_single_images_add_up_to_those_of_all():
    predictions, labels = (torch.from_numpy(values).view(3, 11, 41) for values in images(5))
    matrix = ConfusionMatrix(5)
    sums = matrix.update_images(predictions, labels)
    assert sums.shape == (3, 3, 5) and sums.dtype == torch.int64
    expected = ConfusionMatrix(5)
    expected.update(predictions, labels)
    assert (matrix.counts == expected.counts).all()
    total = sums.sum(0).numpy()
    assert (total == [np.diag(matrix.counts), matrix.counts.sum(1), matrix.counts.sum(0)]).all()
    assert np.allclose(metrics.iou_of(total), matrix.iou()) and np.allclose(
        metrics.dice_of(total), metrics.dice(matrix.counts)
    )
    second = ConfusionMatrix(5)
    second.update(predictions[1], labels[1])
    assert sums[1, 0].tolist() == np.diag(second.counts).tolist()


def test_a_group_of_classes_is_right_where_any_of_its_classes_is_predicted():
    counts = np.array([[4, 2, 1], [1, 5, 0], [3, 0, 2]])
    # of the first two classes 12 pixels stay among themselves, 1 is predicted as the third, 3 come from it
    assert metrics.group_iou(counts, [(0, 1), (2,)]).tolist() == [12 / 16, 2 / 6]
    assert np.isnan(metrics.group_iou(np.zeros((2, 2), int), [(0, 1)])).all()


def test_a_mean_leaves_out_what_has_no_score():
    values = np.array([[1.0, np.nan, 0.5], [np.nan, np.nan, np.nan]])
    assert metrics.mean_over(values)[0] == 0.75 and np.isnan(metrics.mean_over(values)[1])


def test_the_summary_is_json_and_null_where_there_is_no_score():
    summary = json.loads(json.dumps(metrics.summary(COUNTS, ['road', 'car', 'train']), allow_nan=False))
    assert summary['classes']['road'] == {
        'iou': 10 / 15,
        'dice': 20 / 25,
        'precision': 10 / 15,
        'recall': 1.0,
        'tp': 10,
        'fp': 5,
        'fn': 0,
    }
    assert summary['classes']['train']['iou'] is None
    assert summary['mean_iou'] == pytest.approx(35 / 60) and summary['pixels'] == 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_on_a_gpu_nothing_waits_until_counts_are_read():
    predictions, labels = (torch.from_numpy(values) for values in images(19))
    expected = ConfusionMatrix(19)
    expected.update(predictions, labels)
    matrix = ConfusionMatrix(19)
    predictions, labels = predictions.cuda(), labels.cuda()
    matrix.update(predictions, labels)  # moves the table
    torch.cuda.set_sync_debug_mode('error')
    try:
        matrix.update(predictions, labels)
        sums = matrix.update_images(predictions[None], labels[None])
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert (matrix.counts == 3 * expected.counts).all()
    assert sums[0, 0].tolist() == np.diag(expected.counts).tolist()
    matrix.update(predictions + 19, labels)
    with pytest.raises(ValueError, match='predictions are outside 0..18'):
        _ = matrix.counts
