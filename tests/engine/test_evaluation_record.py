"""The record of an evaluation and all that is written beside it, from one evaluation of the program."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from event_files import scalars

from utils import metrics
from utils.files.metrics_csv import MetricsTable

DOCS = Path(__file__).parents[2] / 'docs' / 'evaluation.md'
FLAGS = [
    *('--multi_scale_inference', '--extra_scales', '0.5', '--log_msinf_to_tb', '--measures', 'boundary,ece'),
    *('--bootstrap', '20'),
]


@pytest.fixture
def evaluated(program, snapshot, tmp_path):
    """(folder, what was printed) of an evaluation with every measure."""
    code, printed = program(
        '--eval', 'val', '--snapshot', snapshot, '--result_dir', tmp_path / 'out', *FLAGS, small=False
    )
    assert code == 0, printed
    return tmp_path / 'out', printed


def documented() -> set[str]:
    """The keys in the table of the record in docs/evaluation.md."""
    section = DOCS.read_text('utf-8').partition('## The record')[2].partition('\n## ')[0]
    return set(re.findall(r'`([a-z_0-9]+)`', ''.join(re.findall(r'^\| (.*?) \|', section, re.MULTILINE))))


def test_an_evaluation_records_scores_of_scales_categories_and_images_in_one_file(evaluated):
    folder, printed = evaluated
    record = json.loads((folder / 'metrics.json').read_text())
    assert record.keys() <= documented(), record.keys() - documented()
    assert record['scales'] == [1.0, 0.5], 'as it was'
    assert record['version'] == 2 and record['scale_scores'].keys() == {
        'averaged_1x',
        'averaged_0.5x',
        'hierarchical_0.5x',
        'hierarchical_1x',
    }
    counts = np.load(folder / 'confusion_matrix.npy')
    assert record['mean_dice'] == pytest.approx(metrics.mean_dice(counts))
    assert record['categories']['human']['classes'] == ['person', 'rider']
    flat = record['categories']['flat']['iou']
    right = counts[:2, :2].sum()
    assert flat == pytest.approx(right / (counts[:2].sum() + counts[:, :2].sum() - right))
    assert 0 <= record['boundary_iou'] < 1 and 0 < record['ece'] < 1 and record['classes']['road']['boundary_iou'] >= 0
    assert record['intervals'].keys() == {'mean_iou', 'mean_dice', 'accuracy', 'boundary_iou', 'ece'}
    low, high = record['intervals']['accuracy']
    assert low < record['accuracy'] < high
    with open(folder / 'images.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == record['images'] == 5 and sum(int(row['pixels']) for row in rows) == record['pixels']
    weighted = sum(float(row['loss']) * int(row['pixels']) for row in rows) / record['pixels']
    assert weighted == pytest.approx(record['loss'])
    assert np.mean([float(row['mean_iou']) for row in rows]) == pytest.approx(record['image_iou'])
    for words in (
        'also : [dice 0.',
        'averaged_0.5x: [mean_iu 0.',
        'categories: [mean 0.',
        '95 % intervals over images',
    ):
        assert words in printed, words
    assert {'scale/averaged_0.5x', 'scale/hierarchical_1x', 'val/dice', 'val/boundary_iu'} <= {
        tag for tag, _, _ in scalars(folder)
    }
    row = MetricsTable.read(folder / 'metrics.csv').of('val')[0]
    assert row['image_iu'] == record['image_iou'] and row['ece'] == record['ece']


def test_an_evaluation_of_one_scale_of_a_part_of_the_images_says_both(program, tmp_path):
    flags = ['--arch', 'ocrnet.HRNet', '--eval', 'val', '--random_weights', '--log_msinf_to_tb', '--measures', 'none']
    code, printed = program(*flags, '--limit_batches', '9,2', '--result_dir', tmp_path / 'out')
    assert code == 0 and '--log_msinf_to_tb: this evaluation has one scale alone' in printed, printed
    assert '] partial: 2 of 5 images' in printed and '2 images evaluated' in printed
    record = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert record['partial'] == {'images': 2, 'of': 5} and record['images'] == 2
    assert record['ece'] is record['boundary_iou'] is None and record['scale_scores'] == {}


def test_every_key_of_the_table_of_the_record_is_described_once():
    keys = documented()
    assert {'version', 'mean_iou', 'intervals', 'partial', 'not_finite', 'left_out'} <= keys
