"""Hooks of a cluster: a function that is told, and the four calls of the published AutoResume."""

import json
import sys

import pytest
from small import EPOCH, stop_after

from engine import stop_hook
from engine.stop import StopSignal
from engine.stop_hook import StopHook

MODULE = """
import json, pathlib
told = pathlib.Path(__file__).with_name('told.json')
number = 3


def requeue(details):
    told.write_text(json.dumps(details))


def broken(details):
    raise OSError('no farm here')


class Half:
    def init(self):
        pass


class AutoResume:
    asked, wanted, details, calls = 0, False, None, []

    @classmethod
    def init(cls):
        cls.calls.append('init')

    @classmethod
    def get_resume_details(cls):
        return cls.details

    @classmethod
    def termination_requested(cls):
        cls.asked += 1
        return cls.wanted and cls.asked >= 2

    @classmethod
    def request_resume(cls, user_dict, message):
        cls.calls.append(message)
        cls.details = user_dict
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A module `farm` that only $SUBMIT_SCRIPTS leads to, imported; its file is told.json's neighbour."""
    (tmp_path / 'scripts').mkdir()
    (tmp_path / 'scripts' / 'farm.py').write_text(MODULE)
    monkeypatch.setenv('SUBMIT_SCRIPTS', str(tmp_path / 'scripts'))
    monkeypatch.setattr(sys, 'path', [*sys.path])
    StopHook('farm:requeue')
    yield sys.modules['farm']
    del sys.modules['farm']


def test_a_function_is_told_of_a_training_that_was_stopped_and_saved(program, cluster):
    stop_after(2)
    code, printed = program(*EPOCH, '--on_stop', 'farm:requeue')
    [file] = program.run_dir.glob('last_checkpoint_ep*.pth')
    assert code == 75 and '--on_stop farm:requeue: told of last_checkpoint_ep0.pth' in printed, printed
    assert json.loads(cluster.told.read_text()) == {
        'checkpoint': str(file.resolve()),
        'result_dir': str(program.run_dir.resolve()),
        'epoch': 0,
        'max_epoch': 1,
        'reason': 'SIGTERM',
    }


def test_the_four_calls_of_auto_resume_stop_a_training_and_let_it_go_on_elsewhere(program, cluster, monkeypatch):
    farm = cluster.AutoResume
    monkeypatch.setattr(stop_hook, 'SECONDS', 0.0)
    farm.wanted = True
    code, printed = program(*EPOCH, '--on_stop', 'farm:AutoResume')
    assert code == 75 and 'stopped by a request of farm:AutoResume, saved' in printed, printed
    assert farm.calls == ['init', 'Progress 0% (epoch 0 of 1)'] and farm.asked == 2
    [file] = program.run_dir.glob('last_checkpoint_ep*.pth')
    directory = str(program.run_dir.resolve())
    assert farm.details == {'RESUME_FILE': str(file.resolve()), 'TENSORBOARD_DIR': directory, 'EPOCH': '0'}
    farm.wanted = False
    code, printed = program(*EPOCH, '--on_stop', 'farm:AutoResume', '--result_dir', program.run_dir / 'other')
    assert code == 0 and 'continuing at epoch 0, batch 2' in printed and not (program.run_dir / 'other').exists()
    assert farm.calls[2:] == ['init'], 'a training that has finished asks for nothing'


def test_a_hook_that_fails_after_the_save_loses_nothing(program, cluster):
    stop_after(1)
    code, printed = program(*EPOCH, '--on_stop', 'farm:broken')
    assert code == 75 and '--on_stop farm:broken: failed (OSError: no farm here); the training is saved' in printed


def test_a_signal_after_a_request_is_still_the_first_and_a_failing_question_is_asked_once():
    said, answers = [], iter(['a request of x'])
    with StopSignal(said.append, lambda: next(answers)) as stop:
        assert stop.requested and (stop.reason, stop.name, stop.exit_code) == ('a request of x', None, 75)
    stop = StopSignal(said.append, lambda: {}['gone'])
    assert not stop.requested and not stop.requested
    assert said[1:] == ["--on_stop: cannot say whether to stop (KeyError: 'gone'); not asked again"]


def test_details_that_lack_the_file_are_a_mistake_of_the_cluster(cluster):
    cluster.AutoResume.details = {'EPOCH': '3'}
    with pytest.raises(ValueError, match='expected nothing, or RESUME_FILE and TENSORBOARD_DIR'):
        StopHook('farm:AutoResume').started(None, print)


@pytest.mark.parametrize(
    'text, words',
    [
        ('farm', "'farm': expected MODULE:FUNCTION"),
        ('farm:', "'farm:': expected MODULE:FUNCTION"),
        ('no_such_farm:f', 'module no_such_farm failed (ModuleNotFoundError'),
        ('farm:requeu', 'farm has no requeu; did you mean requeue'),
        ('farm:number', 'is 3; give a function of one dictionary'),
        ('farm:Half', 'has init and lacks get_resume_details, termination_requested, request_resume'),
    ],
)
def test_a_hook_that_cannot_be_called_is_told_before_the_start(cluster, text, words):
    with pytest.raises(ValueError) as error:
        StopHook(text)
    assert str(error.value).startswith('--on_stop ') and words in str(error.value)
