"""The learning-rate range test: its rates, its curve by hand, and a training that is afterwards what it was."""

import csv
import math

import pytest
import torch
from small import EPOCH

from engine.planning import lr_find
from engine.planning.lr_find import Curve, rate_at, smooth


def test_the_rate_grows_by_the_same_factor_from_step_to_step():
    assert [rate_at(step, 5, (1e-4, 1.0)) for step in range(5)] == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1])


def test_the_smoothed_loss_does_not_begin_near_zero():
    assert smooth([4.0, 4.0, 4.0]) == pytest.approx([4, 4, 4])
    assert smooth([1.0, 3.0])[1] == pytest.approx((0.09 * 1 + 0.1 * 3) / 0.19)
    assert smooth([]) == []


def test_both_rates_are_read_from_the_curve(monkeypatch):
    monkeypatch.setattr(lr_find, 'smooth', list)  # the curve itself
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    curve = Curve(rates, [9.0, 3.0, 2.9, 1.0, 0.9, 5.0], settling=1)
    # steepest from 1e-3 to 1e-2, for the fall at the start is not looked at; lowest at 1e-1
    assert curve.suggestions() == pytest.approx(
        {'steepest descent': math.sqrt(1e-5), 'a tenth of the lowest loss': 1e-2}
    )


@pytest.mark.parametrize('losses', [[], [1.0, 0.9], [1.0, 1.1, 1.2, 1.3]])
def test_a_curve_that_does_not_fall_suggests_nothing(losses):
    assert Curve([0.1 * k for k in range(1, 1 + len(losses))], losses, 0).suggestions() == {}


@pytest.mark.parametrize(
    'flags', [[], ['--optimizer', 'adamw', '--ema', '0.9', '--accumulate', '2', '--lr_step', 'iter']]
)
def test_the_search_writes_its_curve_and_leaves_the_training_as_it_was(program, monkeypatch, flags):
    states, sweep = [], lr_find.sweep

    def watched(training, loader, *rest):
        def state():
            parts = [training.learner.net, *([training.learner.ema] if training.learner.ema else [])]
            tensors = [value.clone() for part in parts for value in part.state_dict().values()]
            moments = training.learner.optimizer.state_dict()
            return [*tensors, torch.get_rng_state()], [*moments['state']], [g['lr'] for g in moments['param_groups']]

        states.append(state())
        curve = sweep(training, loader, *rest)
        states.append(state())
        return curve

    monkeypatch.setattr(lr_find, 'sweep', watched)
    code, printed = program(*EPOCH, '--lr_find', '--lr_find_steps', '10', '--lr_find_range', '1e-5,1e-2', *flags)
    assert code == 0 and f'curve: {program.run_dir / "lr_find.html"}' in printed, printed
    (before, none, rates), (after, moments, later) = states
    assert all(map(torch.equal, before, after)) and none == moments == [] and rates == later
    rows = list(csv.DictReader((program.run_dir / 'lr_find.csv').open()))
    assert [float(row['lr']) for row in rows] == pytest.approx([1e-5 * 10 ** (k / 3) for k in range(10)])
    assert len({row['loss'] for row in rows}) == 10 and not list(program.run_dir.glob('*.pth'))


def test_a_rate_that_is_far_too_large_ends_the_search(program):
    code, printed = program(*EPOCH, '--lr_find', '--lr_find_steps', '12', '--lr_find_range', '1e-3,1e9')
    assert code == 0 and ('ended: not finite at' in printed or 'ended: the loss had doubled at' in printed), printed
    assert len((program.run_dir / 'lr_find.csv').read_text().splitlines()) < 1 + 12


def test_a_rate_of_0_cannot_be_multiplied(program):
    code, printed = program(*EPOCH, '--lr_find', '--lr', '0')
    assert code == 2 and '--lr_find: --lr 0' in printed
