"""Epochs of a part of the batches (--limit_batches), and scores of the training batches (--train_metrics)."""

import json
import re

import pytest
import torch
from small import EPOCH, TRAIN

import train
from engine.builders import epoch_batches
from utils import checkpoint
from utils.files.metrics_csv import MetricsTable


@pytest.mark.parametrize(
    'flags, batches',
    [
        ([], None),
        (['--limit_batches', '3,2'], 3),
        (['--limit_batches', '3', '--epoch_batches', '2'], 2),
        (['--limit_batches', '3', '--test_mode'], 11),
        (['--test_mode'], 11),
    ],
)
def test_an_epoch_has_as_many_batches_as_the_stricter_flag_says(flags, batches):
    assert epoch_batches(train.parse_args(flags)) == batches


def test_limited_epochs_follow_their_schedule_and_their_scores_are_marked(program):
    flags = [*TRAIN, '--limit_batches', '2,3', '--lr_step', 'iter', '--lr', '0.04']
    code, printed = program(*flags)
    assert code == 0, printed
    # two epochs of two steps, each told when it is done: 0.04 * (1 - t / 4)
    assert re.findall(r'\[lr ([\d.]+)\]', printed) == ['0.030000', '0.020000', '0.010000', '0.000000']
    assert printed.count('] partial: 3 of 5 images') == 2
    record = json.loads((program.run_dir / 'metrics.json').read_text())
    assert record['partial'] == {'images': 3, 'of': 5} and record['images'] == 3


def test_a_limit_and_minutes_contradict_each_other(program):
    code, printed = program(*TRAIN, '--limit_batches', '2', '--minutes', '1')
    assert code == 2 and '--limit_batches and --minutes both decide how long epochs are; give one' in printed


def test_overfitting_ends_by_the_mean_iou_alone(program):
    code, printed = program(*TRAIN, '--overfit', '2', '--best_metric', 'dice')
    assert code == 2 and '--overfit ends by the mean IoU, found --best_metric dice; leave it out' in printed


def test_scores_of_training_batches_are_logged_and_the_weights_are_the_same_bit_for_bit(program, snapshot):
    code, printed = program(*EPOCH, '--train_metrics')
    assert code == 0, printed
    [line] = re.findall(r'train : \[epoch 0\], \[mean_iu ([\d.]+)\], \[dice [\d.]+\], \[acc ([\d.]+)\]', printed)
    row = MetricsTable.read(program.run_dir / 'metrics.csv').of('train')[0]
    assert float(line[0]) == pytest.approx(row['mean_iu'], abs=1e-5) and 0 < row['acc'] < 1
    assert 'loss' in row
    before = checkpoint.load(snapshot)['state_dict']
    after = checkpoint.load(next(program.run_dir.glob('last*.pth')))['state_dict']
    assert all(torch.equal(before[key], after[key]) for key in before)
