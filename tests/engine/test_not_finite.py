"""An image on which the network is not finite: named in an evaluation, passed over by a training."""

import json

import pytest
import torch
from small import TRAIN

import network
from engine.evaluation import best_line
from network.mscale import MultiScale
from utils import checkpoint
from utils.files.metrics_csv import MetricsTable


@pytest.fixture
def spoil(monkeypatch):
    """spoil(*calls): from now on these evaluation passes, counted from 0, have a logit that is NaN."""

    def patch(*calls):
        count, forward = iter(range(1000)), MultiScale.forward

        def spoilt(self, *arguments, **options):
            outputs = forward(self, *arguments, **options)
            if not self.training and next(count) in calls:
                outputs['pred'][:, 3, 5, 7] = float('nan')
            return outputs

        monkeypatch.setattr(MultiScale, 'forward', spoilt)

    return patch


def test_an_evaluation_names_the_images_and_ends_with_2_after_its_table(program, snapshot, tmp_path, spoil):
    spoil(1, 4)
    flags = ['--eval', 'val', '--snapshot', snapshot, '--dump_for_submission']
    code, printed = program(*flags, '--dump_logits', '--result_dir', tmp_path / 'out', small=False)
    assert code == 2
    names = sorted(
        path.name for path in (program.street / 'synthetic').rglob('*leftImg8bit.png') if 'val' in path.parts
    )
    table, told = printed.rsplit('train.py: error: ', 1)
    assert told.startswith('2 of 5 images have logits that are not finite (') and names[1] in told and names[4] in told
    assert 'incomplete: without 2 images that the network is not finite on' in table
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert [name.rsplit('/')[-1] for name in metrics['not_finite']] == [names[1], names[4]]
    for pattern in ('*_logits.npz', '*_conf.png'):
        assert len(list((tmp_path / 'out').rglob(pattern))) == 3, pattern


def test_a_training_logs_a_validation_that_is_not_finite_keeps_the_best_and_goes_on(program, spoil):
    spoil(5 + 2)  # the third image of the second validation
    code, printed = program(*TRAIN, '--max_epoch', '3')
    assert code == 0, printed
    assert 'validation of epoch 1: 1 of 5 images has logits that are not finite (' in printed
    assert '[epoch 2], [iter 6 / 6]' in printed and 'finished' in printed
    state = checkpoint.load(program.run_dir / 'last_checkpoint_ep2.pth')
    assert state['best_epoch'] in (0, 2) and state['epoch_done']
    table = MetricsTable.read(program.run_dir / 'metrics.csv')
    assert list(table.of('val')) == [0, 2], 'a score that is incomplete is no point of the curve'


def test_a_photo_on_which_a_network_is_not_finite_has_no_labels(snapshot, spoil):
    net = network.load(snapshot)
    spoil(0)
    with pytest.raises(ValueError, match='predict: the logits of this image are not finite'):
        net.predict(torch.zeros(32, 64, 3, dtype=torch.uint8).numpy())


@pytest.mark.parametrize(
    'before, this, line',
    [
        (None, 0.25, 'best : [mean_iu 0.25000]'),
        (0.25, 0.5, 'best : [mean_iu 0.50000]'),
        (0.5, 0.25, 'best : [mean_iu 0.50000]'),
        (0.5, None, 'best : [mean_iu 0.50000]'),
        (None, float('nan'), 'best : none'),
    ],
)
def test_the_best_score_is_the_best_up_to_now_and_not_the_one_before(before, this, line):
    assert best_line(before, this) == line
