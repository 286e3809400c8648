import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from aggregation import ood
from aggregation.tables import ood_lines


def silent(line):
    pass


@pytest.fixture
def maps(tmp_path):
    """Masks and float16 maps of four frames; returns (folder of masks, folder of maps, all labels, all scores)."""
    rng = np.random.default_rng(0)
    labels, scores = [], []
    for number in range(4):
        mask = np.zeros((40, 60), np.uint8)
        mask[5:20, 10 * number:10 * number + 12] = 1
        mask[:2] = 255
        values = (rng.normal(size=mask.shape) + 2.0 * (mask == 1)).astype(np.float16)
        for folder in ('masks', 'maps'):
            (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / 'masks' / f'validation000{number}_labels_semantic.png'), mask)
        np.savez_compressed(tmp_path / 'maps' / f'validation000{number}_energy.npz', value=values)
        labels.append(mask[mask < 255])
        scores.append(values[mask < 255])
    return tmp_path / 'masks', tmp_path / 'maps', np.concatenate(labels), np.concatenate(scores).astype(float)


def test_exact_scores_agree_with_scikit_learn_and_streamed_ones_nearly(maps):
    masks, folder, labels, scores = maps
    exact = ood.evaluate(masks, folder, 'energy', exact=True, log=silent)['scores']
    streamed = ood.evaluate(masks, folder, 'energy', log=silent)['scores']
    assert exact['auroc'] == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert exact['aupr'] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert streamed == pytest.approx(exact, abs=1e-3)
    assert (exact['pixels'], exact['anomalous'], exact['images']) == (len(labels), int(labels.sum()), 4)


def test_a_track_adds_pixel_and_component_scores(maps):
    masks, folder, *_ = maps
    found = ood.evaluate(masks, folder, track='obstacle', log=silent)['scores']['smiyc']
    assert set(found) == {'aupr', 'fpr95', 'auroc', 'best_f1', 'best_threshold', 'f1_mean', 'siou', 'ppv'}
    assert 0 < found['siou'] <= 1


def test_keys_ascend_with_the_score_over_the_whole_range_of_floats():
    values = np.array([-np.float32(3e38), -2.0, -1e-30, -0.0, 0.0, 1e-30, 0.5, 0.501, 2.0, 3e38], np.float32)
    keys = ood.ordered_keys(values)
    assert (np.diff(keys) >= 0).all() and keys[0] >= 0 and keys[-1] < 1 << ood.KEY_BITS and keys[6] < keys[7]


def test_confidences_are_turned_round(tmp_path):
    mask = np.array([[0, 0, 1, 1]], np.uint8)
    (tmp_path / 'm').mkdir(), (tmp_path / 's').mkdir()
    cv2.imwrite(str(tmp_path / 'm' / 'a_labels_semantic.png'), mask)
    cv2.imwrite(str(tmp_path / 's' / 'a_conf.png'), np.array([[65535, 60000, 3, 0]], np.uint16))
    assert ood.evaluate(tmp_path / 'm', tmp_path / 's', 'confidence', log=silent)['scores']['auroc'] == 1.0


@pytest.mark.parametrize('fault, words', [
    (lambda masks, maps: (maps / 'validation0002_energy.npz').unlink(), '1 of 4 masks .* have no score .validation0002'),
    (lambda masks, maps: np.savez(maps / 'validation0002_energy.npz', value=np.zeros((4, 4), np.float16)), 'at the size of the images'),
    (lambda masks, maps: np.savez(maps / 'validation0002_energy.npz', value=np.full((40, 60), np.nan, np.float32)), 'holds nan'),
    (lambda masks, maps: np.savez(maps / 'validation0002_energy.npz', other=np.zeros((40, 60))), 'holds no score map'),
    (lambda masks, maps: (maps / 'validation0002_energy.npz').write_bytes(b'PK'), 'holds no score map'),
    (lambda masks, maps: np.savez(maps / 'validation0002_msp.npz', value=np.zeros((40, 60), np.float16)), 'are both scores|no score'),
])
def test_faults_are_named(maps, fault, words):
    masks, folder, *_ = maps
    fault(masks, folder)
    score = None if (folder / 'validation0002_msp.npz').exists() else 'energy'
    with pytest.raises(ValueError, match=words):
        found = ood.evaluate(masks, folder, score, log=silent)
        raise AssertionError(found)


def frame(folder, name, mask, values):
    cv2.imwrite(str(folder / f'{name}_labels_semantic.png'), np.array(mask, np.uint8))
    np.save(folder / f'{name}_energy.npy', np.array(values, np.float32))


@pytest.mark.parametrize('track', [None, 'obstacle'])
@pytest.mark.parametrize('value, words', [(0, '1 masks hold 0 anomalous pixels .1. and 12 known ones'), (1, '12 anomalous pixels .1. and 0 known ones'),
                                          (255, '0 anomalous pixels .1. and 0 known ones')])
def test_masks_that_nothing_can_be_scored_with_are_told(tmp_path, track, value, words):
    frame(tmp_path, 'a', np.full((3, 4), value), np.arange(12.0).reshape(3, 4))
    with pytest.raises(ValueError, match=words):
        ood.evaluate(tmp_path, tmp_path, track=track, log=silent)


def test_one_frame_with_one_anomalous_pixel_is_scored(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])
    scores = ood.evaluate(tmp_path, tmp_path, log=silent)['scores']
    assert (scores['auroc'], scores['aupr'], scores['fpr95']) == pytest.approx((2 / 3, 1 / 2, 1 / 3))


def test_frames_without_an_anomaly_or_without_a_label_count_among_others(tmp_path):
    for name, mask in (('a', [[0, 1]]), ('b', [[0, 0]]), ('c', [[255, 255]])):
        frame(tmp_path, name, mask, [[0.0, 1.0]])
    scores = ood.evaluate(tmp_path, tmp_path, track='anomaly', log=silent)['scores']
    assert (scores['pixels'], scores['anomalous'], scores['auroc']) == (4, 1, pytest.approx(5 / 6))


def test_scores_that_are_not_defined_are_a_dash_without_a_unit(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])
    pixels, suite = ood_lines(ood.evaluate(tmp_path, tmp_path, track='obstacle', log=silent))
    assert pixels.endswith('AUROC 66.67 %, AUPR 50.00 %, FPR95 33.33 %') and suite.endswith('sIoU -, PPV -, mean F1 -')


def test_component_scores_that_are_not_defined_are_said(tmp_path):
    frame(tmp_path, 'a', [[0, 0, 0, 1]], [[0, 3, 1, 2]])            # far below the 10 and 50 pixels of the track
    result = ood.evaluate(tmp_path, tmp_path, track='obstacle', log=silent)
    assert np.isnan(result['scores']['smiyc']['siou']) and np.isnan(result['scores']['smiyc']['ppv'])
    assert result['notes'] == ['sIoU and mean F1 are not defined: no true component has 10 pixels', 'PPV is not defined: no predicted component has 50 pixels']


def test_two_masks_of_one_image_are_refused(tmp_path):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a_labels_semantic.png'), np.zeros((2, 2), np.uint8))
    np.save(tmp_path / 'a.npy', np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match='are both masks of a'):
        ood.evaluate(tmp_path, tmp_path, log=print)
