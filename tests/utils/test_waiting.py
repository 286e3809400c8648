import json
import os
import subprocess
import sys

import pytest
from small import ROOT, TRAIN

from utils.cli import waiting

# Runs a program up to its import of torch, and prints what OpenMP would find there.
UP_TO_TORCH = """
import os, runpy, sys
class Finder:
    def find_spec(self, name, *_):
        if name == 'torch':
            print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Finder())
name = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_path(name, run_name='__main__') if name.endswith('.py') else runpy.run_module(name, run_name='__main__')
"""
PROGRAMS = [
    'train.py',
    'predict.py docs/images/street.jpg',
    'ensemble.py check logits',
    'scripts/bench.py',
    'network.export',
    'network.summary',
    'network.convert',
]


def at_torch(program, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in waiting.VARIABLES}
    done = subprocess.run(
        [sys.executable, '-c', UP_TO_TORCH, *program.split()],
        cwd=ROOT,
        env={**environment, 'PYTHONPATH': str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize('program', PROGRAMS)
def test_idle_threads_sleep_soon_in_every_program_that_computes(program):
    assert at_torch(program) == f'None {waiting.OURS["GOMP_SPINCOUNT"]}'


@pytest.mark.parametrize(
    'variables, found',
    [
        ({'OMP_WAIT_POLICY': 'ACTIVE'}, 'ACTIVE None'),
        ({'GOMP_SPINCOUNT': '7'}, 'None 7'),
    ],
)
def test_what_a_person_has_set_wins(variables, found):
    assert at_torch('train.py', **variables) == found


def test_a_training_writes_into_its_log_and_record_how_its_idle_threads_wait_and_prints_nothing_of_it(program):
    code, printed = program(*TRAIN, '--max_epoch', '1', '--test_mode')
    assert code == 0 and 'idle threads' not in printed
    assert waiting.line() in (program.run_dir / 'logging.log').read_text()
    record = json.loads((program.run_dir / 'hparams.json').read_text())
    assert record['command']['waiting'] == waiting.waiting()


@pytest.mark.parametrize(
    'is_ours, variables, told',
    [
        (True, {'GOMP_SPINCOUNT': '5'}, 'idle threads wait with GOMP_SPINCOUNT=5'),
        (
            False,
            {'OMP_WAIT_POLICY': 'ACTIVE'},
            'idle threads wait with OMP_WAIT_POLICY=ACTIVE, as the environment has it',
        ),
        (False, {}, 'idle threads wait as OpenMP has it: torch was imported before this program'),
    ],
)
def test_the_line_says_the_setting_and_whose_it_is(monkeypatch, is_ours, variables, told):
    monkeypatch.setattr(waiting, 'IS_OURS', is_ours)
    for name in waiting.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert waiting.line() == told
