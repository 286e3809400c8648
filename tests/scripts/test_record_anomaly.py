"""The page of anomaly scores: a rendered set through the network in the box, the cells, and who is ahead."""

import cv2
import numpy as np
import pytest
from small import ROOT

from scripts import record_anomaly

BOX = ROOT / 'network/box/street.safetensors'


def measured(aupr, resampled):
    smiyc = {'siou': 0.25, 'ppv': 0.5, 'f1_mean': 0.125}
    return {
        'scores': {'aupr': aupr, 'fpr95': 0.9, 'smiyc': smiyc, 'images': 2, 'pixels': 200, 'anomalous': 10},
        'intervals': {'aupr': [aupr - 0.1, aupr + 0.1], 'fpr95': [0.8, 1.0]},
        'resampled': [{'aupr': value} for value in resampled],
    }


def test_a_row_has_the_scores_their_intervals_and_how_often_the_best_is_ahead(tmp_path):
    found = {'msp': measured(0.3, [0.3, 0.5, 0.2, 0.1]), 'energy': measured(0.4, [0.4, 0.4, 0.3, 0.4])}
    lines = record_anomaly.section(tmp_path / 'street', found)
    assert lines[:3] == ['## street', '', '2 images, 5.0 % of the pixels are anomalous.']
    assert lines[-3] == '| `msp` | 30.0 (20.0 to 40.0) | 90.0 (80.0 to 100.0) | 25.0 | 50.0 | 12.5 | 75.0 % |'
    assert lines[-2].startswith('| `energy` | 40.0 (30.0 to 50.0)') and lines[-2].endswith('|  |')


def test_one_network_has_the_scores_that_need_no_second():
    assert record_anomaly.scores_of(1, 'logits') == ['msp', 'entropy', 'max_logit', 'energy', 'rba']
    assert record_anomaly.scores_of(1, 'mask scores') == ['msp', 'entropy', 'mask_rba', 'mask_max']
    assert {'mutual_information', 'least_sure', 'msp'} <= set(record_anomaly.scores_of(2, 'logits'))


@pytest.fixture
def folder(tmp_path):
    """Two grey images with a bright square, which is the anomaly."""
    for name in ('images', 'labels_masks'):
        (tmp_path / 'things' / name).mkdir(parents=True)
    for number in range(2):
        image, mask = np.full((64, 96, 3), 90, np.uint8), np.zeros((64, 96), np.uint8)
        image[20:50, 10 + 20 * number :][:, :30], mask[20:50, 10 + 20 * number :][:, :30] = 255, 1
        cv2.imwrite(str(tmp_path / 'things/images' / f'{number}.png'), image)
        cv2.imwrite(str(tmp_path / 'things/labels_masks' / f'{number}.png'), mask)
    return tmp_path / 'things'


def test_the_page_is_made_of_a_set_by_the_network_in_the_box(folder, tmp_path):
    flags = ['--dataset', 'camvid', '--sets', str(folder), '--bootstrap', '4', '--out', str(tmp_path / 'page.md')]
    assert record_anomaly.main([str(BOX), *flags]) == 0
    text = (tmp_path / 'page.md').read_text()
    assert '## things' in text and text.count('| `') == 6 and '2 images, 14.6 % of the pixels' in text


def test_a_set_without_images_is_told(tmp_path, capsys):
    flags = ['--dataset', 'camvid', '--sets', str(tmp_path / 'none'), '--out', str(tmp_path / 'page.md')]
    assert record_anomaly.main([str(BOX), *flags]) == 2
    assert 'none' in capsys.readouterr().err and not (tmp_path / 'page.md').exists()
