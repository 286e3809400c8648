"""The number that chooses the best checkpoint: --best_metric."""

import math
import re

import pytest
from small import EPOCH, TRAIN

from engine.best_metric import BestMetric, check_same
from utils import checkpoint


@pytest.mark.parametrize(
    'name, value, best, is_better',
    [
        ('mean_iu', 0.5, 0.4, True),
        ('mean_iu', 0.4, 0.4, False),
        ('loss', 0.5, 0.4, False),
        ('loss', 0.3, 0.4, True),
        ('ece', 0.1, None, True),
        ('iou/road', math.nan, None, False),
        ('dice', None, 0.1, False),
    ],
)
def test_the_highest_value_is_the_best_and_of_loss_and_calibration_error_the_lowest(name, value, best, is_better):
    assert BestMetric(name).is_better(value, best) is is_better


def test_a_value_is_told_in_percent_but_for_the_loss():
    assert [BestMetric('dice').shown(0.25), BestMetric('loss').shown(0.25)] == ['25.00 %', '0.2500']
    assert BestMetric('dice').shown(None) == 'none'


def test_a_name_that_is_none_is_refused_with_the_nearest_ones():
    with pytest.raises(ValueError, match='--best_metric mean_iou: there is no such number.*did you mean mean_iu'):
        BestMetric('mean_iou')
    with pytest.raises(ValueError, match='--best_metric iou/raod: .*did you mean iou/road'):
        BestMetric('iou/raod', ['road', 'car'])
    assert BestMetric('boundary_iu').measures == ('boundary',) and BestMetric('iou/car', ['road', 'car']).measures == ()


def test_a_run_is_not_continued_by_another_number():
    check_same('mean_iu', {}, 'old.pth')
    with pytest.raises(ValueError, match=r'--best_metric dice: .* by mean_iu \(old.pth\).*give --best_metric mean_iu'):
        check_same('dice', {'best_metric': None}, 'old.pth')


def test_the_best_checkpoint_and_the_early_stop_follow_the_number(program, monkeypatch):
    losses = iter([0.5, 0.3, 0.4, 0.6, 0.1])
    monkeypatch.setattr('engine.training.validate', lambda *_: {'mean_iu': 0.25, 'loss': next(losses)})
    flags = [*TRAIN, '--epoch_batches', '1', '--max_epoch', '9', '--early_stop', '2', '--best_metric', 'loss']
    code, printed = program(*flags)
    assert code == 0 and '2 validations without a better score; best loss: 0.3000 in epoch 1' in printed, printed
    state = checkpoint.load(program.run_dir / 'best_checkpoint_ep1.pth')
    assert (state['best_metric'], state['best_score'], state['mean_iu']) == ('loss', 0.3, 0.25)
    code, printed = program(*TRAIN, '--max_epoch', '9', '--resume', 'auto')
    assert code == 2 and 'chooses its best checkpoint by loss' in printed and 'give --best_metric loss' in printed
    code, printed = program(*TRAIN, '--resume', 'auto', '--best_metric', 'los')
    assert code == 2 and 'did you mean loss' in printed


def test_a_number_that_is_measured_for_the_choice_needs_no_other_flag(program):
    code, printed = program(*EPOCH, '--limit_batches', '1', '--best_metric', 'boundary_iu')
    assert (
        code == 0 and 'best : [boundary_iu 0.' in printed and re.search(r'; best boundary_iu: \d+\.\d\d %', printed)
    ), printed
