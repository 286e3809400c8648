import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from aggregation import ood


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


def test_two_masks_of_one_image_are_refused(tmp_path):
    for folder in ('one', 'two'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a_labels_semantic.png'), np.zeros((2, 2), np.uint8))
    np.save(tmp_path / 'a.npy', np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match='are both masks of a'):
        ood.evaluate(tmp_path, tmp_path, log=print)
