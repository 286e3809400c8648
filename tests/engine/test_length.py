"""Trainings that end by time or by their scores: --minutes, --early_stop, --epoch_batches."""

import json
import re
import time

import pytest
import torch
from small import TRAIN, stop_after

import train
from engine.planning import timed
from engine.planning.time_plan import Length
from utils import checkpoint

SHORT = ('--crop_size', '48,64', '--bs_trn', '2', '--class_uniform_tile', '64', '--log_freq', '1')


def last(folder):
    return checkpoint.load(max(folder.glob('last_checkpoint_ep*.pth')))


def epochs(printed):
    return sorted({int(number) for number in re.findall(r'\[epoch (\d+)\], \[iter', printed)})


@pytest.fixture
def seconds(monkeypatch):
    """seconds(batch, validation): what the first steps are found to take."""

    def take(batch, validation):
        monkeypatch.setattr(timed, 'probe', lambda training, loader, total: (batch, validation))

    return take


def planned(now, lengths):
    """The Length `now` with the next of some numbers of epochs."""
    return now._replace(max_epoch=next(lengths, now.max_epoch))


def test_minutes_decide_the_length_which_records_and_resumed_runs_keep(program, seconds, monkeypatch):
    monkeypatch.setattr(timed.Stopwatch, 'plan', lambda self, done, trained, now, *_: now)
    monkeypatch.setattr(timed.Stopwatch, 'left', 60.0)
    # 57 s are usable: one validation of 20 s leaves 37 s, six batches of 6 s: six epochs of one
    seconds(6, 20)
    stop_after(4)
    code, printed = program(*SHORT, '--minutes', '1')
    assert code == 75 and '--minutes 1: 6 epochs of 1 of 6 batches, validated every 6 (--val_freq)' in printed
    record = json.loads((program.run_dir / 'hparams.json').read_text())
    assert (record['max_epoch'], record['epoch_batches'], record['val_freq']) == (6, 1, 6)
    seconds(1, 1)
    code, printed = program(*SHORT, '--minutes', '1', '--resume', 'auto')
    assert code == 0 and epochs(printed) == [4, 5], printed
    assert '--minutes: as it was decided when the run began' in printed and 'not bit for bit' not in printed
    state = last(program.run_dir)
    assert state['args']['max_epoch'] == 6 and state['seconds'] > 0


def test_the_schedule_follows_the_minutes(program, seconds, monkeypatch):
    seconds(1, 1)
    lengths = iter([4, 2])
    monkeypatch.setattr(timed.Stopwatch, 'plan', lambda *given: planned(given[3], lengths))
    flags = (*SHORT, '--epoch_batches', '1', '--max_epoch', '9', '--lr', '0.04')
    code, printed = program(*flags, '--minutes', '1')
    assert code == 0 and '--max_epoch 4 instead of 9' in printed and '--max_epoch 2 instead of 4' in printed
    # the first epoch by the nine that were decided, the second by four: 0.04 * (1 - 1/4)
    assert re.findall(r'\[lr ([\d.]+)\]', printed) == ['0.040000', '0.030000']
    assert json.loads((program.run_dir / 'hparams.json').read_text())['max_epoch'] == 2


def test_looking_at_the_speed_leaves_the_training_as_it_was(program, monkeypatch, tmp_path):
    monkeypatch.setattr(timed.Stopwatch, 'plan', lambda self, done, trained, now, *_: now)
    monkeypatch.setattr(timed, 'fit_length', lambda *_: Length(2, 1, 2))
    weights = []
    for flags in (('--epoch_batches', '2', '--max_epoch', '2'), ('--minutes', '5')):
        folder = tmp_path / flags[0][2:]
        code, printed = program(
            *TRAIN[:4],
            '--class_uniform_tile',
            '64',
            *flags,
            '--ema',
            '0.9',
            '--result_dir',
            folder,
            '--optimizer',
            'adamw',
        )
        assert code == 0, printed
        weights.append(last(folder))
    for key, value in weights[0]['state_dict'].items():
        assert torch.equal(value, weights[1]['state_dict'][key]), key
    assert weights[0]['global_step'] == weights[1]['global_step'] == 4


def test_a_small_change_of_the_length_is_told_in_the_log_file_alone(program, seconds, monkeypatch):
    seconds(1, 1)
    lengths = iter([19, 18, 3])
    monkeypatch.setattr(timed.Stopwatch, 'plan', lambda *given: planned(given[3], lengths))
    code, printed = program(*SHORT, '--epoch_batches', '1', '--max_epoch', '20', '--val_freq', '20', '--minutes', '1')
    assert code == 0 and epochs(printed) == [0, 1, 2]
    told = [line for line in printed.splitlines() if ' instead of ' in line]
    assert [line.partition(',')[0] for line in told] == [
        '--minutes 1: --max_epoch 18 instead of 20',  # two steps of 5 % are 10 % of what was told last
        '--minutes 1: --max_epoch 3 instead of 18',
    ]
    assert '--max_epoch 19 instead of 20' in (program.run_dir / 'logging.log').read_text()
    assert '[epoch 0], [iter 1 / 1]' in printed and 'epoch 0: 1/1' not in printed, 'a single batch is told once'


def test_early_stop_ends_after_so_many_validations_without_a_better_score(program, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.2, 0.9])
    monkeypatch.setattr('engine.training.validate', lambda *_: {'mean_iu': next(scores)})
    flags = (*TRAIN, '--epoch_batches', '1', '--max_epoch', '20', '--early_stop', '3')
    code, printed = program(*flags)
    assert code == 0 and epochs(printed) == [0, 1, 2, 3, 4], 'the best is that of epoch 1'
    assert 'ended before epoch 5: 3 validations without a better score; best mean IoU: 30.00 % in epoch 1' in printed
    code, printed = program(*flags, '--resume', 'auto')
    assert code == 0 and epochs(printed) == [], 'a resumed run knows that it is enough'


def test_early_stop_counts_validations_not_epochs(program, monkeypatch):
    scores = iter([0.3, 0.2, 0.2, 0.9])
    monkeypatch.setattr('engine.training.validate', lambda *_: {'mean_iu': next(scores)})
    code, printed = program(*TRAIN, '--epoch_batches', '1', '--max_epoch', '20', '--early_stop', '2', '--val_freq', '2')
    assert code == 0 and epochs(printed) == [0, 1, 2, 3, 4]


def test_epoch_batches_shortens_epochs(program):
    code, printed = program(*TRAIN, '--epoch_batches', '2', '--max_epoch', '1')
    assert code == 0 and '[iter 2 / 2]' in printed and last(program.run_dir)['global_step'] == 2


def test_days_on_a_cpu_are_told_before_the_first_step(program, monkeypatch):
    monkeypatch.setattr('engine.training.tell_if_long', lambda args, classes, batches, log: log(f'{batches} batches'))
    code, printed = program(*TRAIN, '--epoch_batches', '2', '--max_epoch', '1')
    assert code == 0 and printed.index('2 batches') < printed.index('[epoch 0], [iter')


def test_minutes_count_from_the_start_of_the_program(program, seconds, monkeypatch):
    seconds(1, 1)
    used, kept = [], train.main
    monkeypatch.setattr(train, 'main', lambda argv: kept(argv, began=time.monotonic() - 5000))
    monkeypatch.setattr(timed, 'fit_length', lambda left, *_: (used.append(6000 - left), Length(1, 1, 1))[1])
    code, printed = program(*SHORT, '--minutes', '100')
    assert code == 0 and used[0] >= 5000, printed
