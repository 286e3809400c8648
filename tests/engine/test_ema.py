"""Averaged weights: the decay that warms up, and which weights are kept."""

import re

import pytest
import torch
from small import EPOCH

from engine import training
from engine.trainer import ema_of, warm_decay
from utils import checkpoint
from utils.files.metrics_csv import MetricsTable


def test_the_decay_warms_up_to_that_of_the_flag():
    assert [warm_decay(0.999, updates) for updates in (1, 10, 90)] == [2 / 11, 11 / 20, 91 / 100]
    assert warm_decay(0.9, 80) == 0.9 == warm_decay(0.9, 10**9) and warm_decay(0.9, 79) == 80 / 89


def test_a_short_run_averages_what_it_learned_and_not_its_start():
    net = torch.nn.Linear(1, 1, bias=False)
    average, expected = ema_of(net, 0.999), None
    for step in range(30):
        torch.nn.init.constant_(net.weight, float(step))
        average.update_parameters(net)
        decay = (1 + step) / (10 + step)
        expected = float(step) if expected is None else decay * expected + (1 - decay) * step
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert expected > 20, 'with 0.999 throughout it would be 0.4'


@pytest.mark.parametrize('better', ['averaged', 'own'])
def test_both_kinds_of_weights_are_scored_while_the_average_is_young_and_the_better_are_kept(
    program, monkeypatch, better
):
    alone = {'averaged': 0.0, 'own': 1.0}[better]
    monkeypatch.setattr(training, 'score_alone', lambda *_: {'mean_iu': alone})
    code, printed = program(*EPOCH, '--ema', '0.999')
    assert code == 0, printed
    [line] = [line for line in printed.splitlines() if line.startswith('scored: ')]
    other = {'averaged': 'own', 'own': 'averaged'}[better]
    assert re.fullmatch(rf'scored: the {better} weights, mean IoU \d+\.\d\d %; the {other} ones have \d+\.\d\d %', line)
    table = MetricsTable.read(program.run_dir / 'metrics.csv')
    assert [phase for phase, _ in table.rows] == ['train', 'val', 'iou'], 'an epoch has one score'
    state = checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')
    assert state['kept'] == better
    evaluated = checkpoint.evaluated_weights(state)
    expected = state['state_dict'] if better == 'own' else checkpoint.averaged_weights(state)
    assert all(torch.equal(evaluated[key], expected[key]) for key in expected)
    code, scored = program(
        *('--eval', 'val', '--snapshot', program.run_dir / 'last_checkpoint_ep0.pth'),
        *('--result_dir', program.run_dir.parent / 'eval'),
        small=False,
    )
    assert code == 0 and f'[mean_iu {state["mean_iu"]:0.5f}]' in scored, 'a share, as in published logs'
    assert f'images evaluated, mean IoU {100 * state["mean_iu"]:.2f} %; see ' in scored


def test_once_the_average_is_old_it_alone_is_scored(program):
    code, printed = program(*EPOCH, '--ema', '0.1')
    assert code == 0 and 'scored: ' not in printed
