"""Trackers: TensorBoard's events, the stores of wandb and MLflow, and what happens when one fails or hangs."""

import json
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from event_files import events, scalars, values
from small import TRAIN, stop_after

from engine import trackers
from engine.trackers import TRACKERS, background, check_installed
from engine.trackers.background import Background
from engine.trackers.tensorboard import TensorBoard
from engine.trainer import EpochMeans
from engine.training import rates
from utils.files.metrics_csv import MetricsTable


class Failing:
    """Takes a number, then raises what it is made with."""

    def __init__(self, error):
        self.error, self.taken = error, []

    def scalars(self, value):
        if self.taken:
            raise self.error
        self.taken.append(value)

    def flush(self):
        pass

    close = flush


class Hanging(Failing):
    """Waits for ever in its first call."""

    def scalars(self, *_):
        threading.Event().wait()


@pytest.mark.parametrize('error', [RuntimeError('no space'), OverflowError(), SystemExit(3), OSError('full')])
def test_a_tracker_that_raises_anything_is_told_once_and_blocks_nothing(error):
    tracker = Background('mine', Failing, error)
    for value in range(3 * background.WAITING):
        tracker.call('scalars', value)
    tracker.flush()
    reason = f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
    told = f'mine: gets nothing more of this run, which goes on without it: {reason}'
    assert [tracker.take_failure(), tracker.take_failure()] == [told, None]
    tracker.close()


def test_a_tracker_that_hangs_is_given_up_after_a_while(monkeypatch):
    monkeypatch.setattr(background, 'SECONDS', 0.1)
    for wait in (Background.flush, Background.close, lambda it: [it.call('scalars', k) for k in range(1100)]):
        tracker, began = Background('mine', Hanging, None), time.monotonic()
        tracker.call('scalars', 1)
        wait(tracker)
        assert time.monotonic() - began < 5
        assert 'it has not answered for 0.1 seconds' in tracker.take_failure()


def test_a_tracker_that_cannot_start_is_told_like_any_failure():
    def make():
        raise ZeroDivisionError

    tracker = Background('mine', make)
    tracker.flush()
    assert tracker.take_failure().endswith('goes on without it: ZeroDivisionError')


def test_tensorboard_gets_numbers_pictures_and_flags(tmp_path):
    board = TensorBoard(tmp_path, {'lr': 0.1, 'arch': 'x', 'crop_size': (8, 16), 'ema': None}, 0)
    board.scalars({'train/loss': 0.5, 'lr/0': 0.25}, 7, 'step')
    board.picture('imgs', np.full((3, 2, 4), 9, np.uint8), 1)
    board.close()
    assert scalars(tmp_path) == [('train/loss', 7, 0.5), ('lr/0', 7, 0.25)]
    ((tag, step, image),) = values(tmp_path, 'image')
    assert (tag, step, image.height, image.width) == ('imgs', 1, 2, 4)
    flags = [value.metadata.plugin_data for event in events(tmp_path) for value in event.summary.value][:2]
    assert {data.plugin_name for data in flags} == {'hparams'}
    assert b'crop_size' in flags[1].content and b'(8, 16)' in flags[1].content and b'ema' not in flags[1].content


def test_two_starts_within_a_second_write_two_files_of_which_the_later_drops_what_was_lost(tmp_path):
    for step in (0, 40):
        TensorBoard(tmp_path, {}, step).close()
    assert len(list(tmp_path.iterdir())) == 2
    starts = [event.step for event in events(tmp_path) if event.WhichOneof('what') == 'session_log']
    assert starts == [41]


# In a training


def tags(folder):
    return {tag for tag, _, _ in scalars(folder)}


def test_a_training_leaves_times_rates_class_scores_and_pictures(program):
    code, printed = program(*TRAIN, '--max_epoch', '1')
    assert code == 0, printed
    found = scalars(program.run_dir)
    assert {'train/loss', 'train/lr', 'lr/0', 'val/mean_iu', 'iou/road', 'iou/traffic_light'} <= tags(program.run_dir)
    took = {tag: value for tag, _, value in found if tag.startswith('time/')}
    assert took.keys() == {'time/train', 'time/val', 'time/epoch'}
    assert took['time/epoch'] >= took['time/train'] + took['time/val']
    losses = [value for tag, _, value in found if tag == 'train/loss']
    table = MetricsTable.read(program.run_dir / 'metrics.csv')
    assert table.of('train')[0]['loss'] == pytest.approx(np.mean(losses)) and len(losses) == 6
    assert (table.of('train')[0]['step'], table.of('train')[0]['lr']) == (6, 0.002)
    scores = json.loads((program.run_dir / 'metrics.json').read_text())
    assert table.of('val')[0]['mean_iu'] == scores['mean_iou']
    assert table.of('iou')[0]['iou/road'] == scores['classes']['road']['iou']
    pictures = {tag: (image.height, image.width) for tag, _, image in values(program.run_dir, 'image')}
    assert pictures.keys() == {'imgs', 'confusion_matrix', *(f'large/{k}' for k in range(4))}
    assert pictures['large/0'] == (64, 3 * 128)  # not wider than twice the height: side by side


def test_a_resumed_training_has_each_epoch_once_and_no_step_twice(program):
    stop_after(9)  # in the second of two epochs
    code, printed = program(*TRAIN)
    assert code == 75, printed
    before = [step for tag, step, _ in scalars(program.run_dir) if tag == 'train/loss']
    assert before == list(range(1, 10))
    code, printed = program(*TRAIN, '--resume', 'auto')
    assert code == 0, printed
    table = MetricsTable.read(program.run_dir / 'metrics.csv')
    assert [key for key in table.rows if key[0] == 'val'] == [('val', 0), ('val', 1)]
    assert {epoch: row['step'] for epoch, row in table.of('train').items()} == {0: 6, 1: 12}
    assert sorted(step for tag, step, _ in scalars(program.run_dir) if tag == 'train/loss') == list(range(1, 13))


def test_events_are_in_the_file_before_a_checkpoint_stands_for_them(program, monkeypatch):
    seen = []

    def save(keeper, state, *_):
        seen.append(
            (state['global_step'], max(step for tag, step, _ in scalars(keeper.run_dir) if tag == 'train/loss'))
        )

    monkeypatch.setattr('engine.keeper.CheckpointKeeper.save', save)
    code, printed = program(*TRAIN)
    assert code == 0, printed
    assert len(seen) >= 4 and all(step == recorded for step, recorded in seen)


@contextmanager
def tracked_by(monkeypatch, tracker):
    tracker.imports = ('json',)
    monkeypatch.setitem(TRACKERS, 'tensorboard', tracker)
    monkeypatch.setattr(background, 'SECONDS', 0.2)
    yield


@pytest.mark.parametrize('kind', [Failing, Hanging])
def test_a_training_goes_on_and_obeys_sigterm_whatever_becomes_of_a_tracker(kind, program, monkeypatch):
    class Broken(kind):
        def __init__(self, *_):
            super().__init__(OverflowError('timeout is too large'))

    with tracked_by(monkeypatch, Broken):
        stop_after(9, signal.SIGTERM)
        code, printed = program(*TRAIN)
    assert code == 75, printed
    assert printed.count('tensorboard: gets nothing more of this run') == 1
    log = (program.run_dir / 'logging.log').read_text()
    assert log.count('tensorboard: gets nothing more of this run') == 1 and 'stopped by SIGTERM, saved' in log


def test_the_means_of_an_epoch_are_over_its_batches_and_the_rate_is_the_last():
    means = EpochMeans()
    assert means.take() == {}
    means.add({'loss': 1.0, 'pred/ce': 4.0, 'lr': 0.2}, 3)
    means.add({'loss': 2.0, 'pred/ce': 8.0, 'lr': 0.1}, 1)
    assert means.take() == {'loss': 1.25, 'pred/ce': 5.0, 'lr': 0.1}
    assert means.take() == {}


def test_a_batch_that_is_not_finite_does_not_spoil_the_mean_of_its_epoch():
    means = EpochMeans()
    means.add({'loss': 1.0, 'lr': 0.1}, 5)
    means.add({'loss': float('nan'), 'lr': 0.1}, 5)
    means.add({'loss': 4.0, 'lr': 0.2}, 10)
    assert means.take() == {'loss': 3.0, 'lr': 0.2} and means.take() == {}


def test_every_group_of_an_optimizer_has_its_rate_by_name_or_number():
    one, two = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = [{'params': [one], 'lr': 0.5}, {'params': [two], 'lr': 0.25, 'name': 'heads'}]
    assert rates(torch.optim.SGD(groups, lr=1.0)) == {'lr/0': 0.5, 'lr/heads': 0.25}


def test_a_package_that_is_missing_is_named_before_anything_is_written(program, monkeypatch):
    monkeypatch.setattr(TRACKERS['mlflow'], 'imports', ('no_such_package',))
    code, printed = program(*TRAIN, '--log_to', 'tensorboard,mlflow')
    assert code == 2 and not program.run_dir.exists()
    assert '--log_to mlflow: the package no_such_package is not installed or broken' in printed
    assert 'pip install no_such_package, or leave it out' in printed


def test_an_unknown_tracker_is_told_with_those_that_there_are(program):
    code, printed = program(*TRAIN, '--log_to', 'tensorbord')
    assert code == 2 and "'tensorbord' is none of tensorboard, wandb, mlflow" in printed


def test_flag_and_table_name_the_same_trackers():
    from utils.settings import SETTINGS

    assert SETTINGS['log_to'].type(','.join(TRACKERS)) == tuple(TRACKERS)
    assert SETTINGS['log_to'].default == trackers.DEFAULT


def test_mlflow_keeps_numbers_flags_and_pictures_in_the_folder_and_goes_on_with_its_run(tmp_path, monkeypatch):
    pytest.importorskip('mlflow')
    for name in ('MLFLOW_TRACKING_URI', 'MLFLOW_EXPERIMENT_NAME'):
        monkeypatch.delenv(name, raising=False)
    check_installed(['mlflow'])
    from mlflow import MlflowClient

    for step in (0, 7):
        store = TRACKERS['mlflow'](tmp_path, {'lr': 0.1, 'crop_size': (8, 16)}, step)
        store.scalars({'train/loss': 0.5, 'iou/traffic:light': 0.25}, step + 7, 'step')
        store.picture('imgs', np.full((3, 2, 4), 9, np.uint8), 1)
        store.close()
    client = MlflowClient(tracking_uri=(tmp_path / 'mlruns').as_uri())
    (run,) = client.search_runs(['0'])
    assert run.data.params == {'lr': '0.1', 'crop_size': '(8, 16)'} and run.info.status == 'FINISHED'
    history = client.get_metric_history(run.info.run_id, 'train/loss')
    assert sorted((one.step, one.value) for one in history) == [(7, 0.5), (14, 0.5)]
    assert run.data.metrics['iou/traffic_light'] == 0.25
    assert [one.path for one in client.list_artifacts(run.info.run_id, 'imgs')] == ['imgs/00001.png']


@pytest.mark.slow
def test_wandb_keeps_an_offline_run_in_the_folder(tmp_path, monkeypatch):
    pytest.importorskip('wandb')
    monkeypatch.delenv('WANDB_MODE', raising=False)
    check_installed(['wandb'])
    tracker = Background('wandb', TRACKERS['wandb'], tmp_path, {'lr': 0.1}, 0)
    tracker.call('scalars', {'train/loss': 0.5}, 7, 'step')
    tracker.call('picture', 'imgs', np.full((3, 2, 4), 9, np.uint8), 1)
    tracker.close()
    assert tracker.take_failure() is None
    (file,) = (tmp_path / 'wandb').glob('offline-run-*/run-*.wandb')
    assert b'train/loss' in file.read_bytes()
    assert len(list((tmp_path / 'wandb').glob('offline-run-*/files/media/images/*.png'))) == 1
