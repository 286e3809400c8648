import argparse
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from event_files import scalars
from runx.logx import logx

import config
from engine import provenance, run
from engine.run import run_context
from utils import checkpoint
from utils.files.atomic import WriteError
from utils.files.metrics_csv import MetricsTable

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)


def flags(tmp_path, **other):
    return argparse.Namespace(
        **{
            'result_dir': str(tmp_path / 'run'),
            'seed': 5,
            'deterministic': False,
            'distributed': False,
            'timeout': 30,
            'resume': None,
            'crop_size': (8, 16),
            **other,
        }
    )


@contextmanager
def start(args, training=True):
    with run_context(args, training=training, device='cpu') as started:
        started.open()
        yield started


def test_a_record_holds_the_versions_of_all_packages_that_change_numbers(monkeypatch):
    # the last stores what others compute
    installed = {'torch': '2.12', 'timm': '1.0.9', 'safetensors': '0.4'}

    def version(name):
        if name not in installed:
            raise provenance.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(provenance.metadata, 'version', version)
    assert provenance.package_versions() == {'torch': '2.12', 'timm': '1.0.9'}


def test_a_run_leaves_its_log_metrics_events_and_record(tmp_path, capsys):
    with start(flags(tmp_path)) as started:
        started.log('hello')
        started.metric('val', {'mean_iu': 0.25}, 3)
        started.metric('train', {'loss': 1.5}, 7)
        assert (started.directory, str(started.device), started.is_main) == (tmp_path / 'run', 'cpu', True)
    kinds = sorted(name.split('.out')[0] for name in os.listdir(tmp_path / 'run'))
    assert kinds == ['events', 'hparams.json', 'logging.log', 'metrics.csv']
    assert (tmp_path / 'run/logging.log').read_text() == 'hello\n'
    assert capsys.readouterr().out == 'hello\n'
    table = MetricsTable.read(tmp_path / 'run/metrics.csv')
    assert table.of('val')[3]['mean_iu'] == 0.25 and table.of('train') == {}


def test_the_record_holds_flags_cfg_versions_commit_and_command(tmp_path):
    with config.scope(MODEL__OCR__MID_CHANNELS=32), start(flags(tmp_path)):
        pass
    record = json.loads((tmp_path / 'run/hparams.json').read_text())
    assert record['crop_size'] == [8, 16]
    assert record['seed'] == 5
    assert record['cfg.MODEL.OCR.MID_CHANNELS'] == 32
    assert record['cfg.LOSS.OCR_ALPHA'] == 0.4
    command = record['command']
    assert command['versions']['torch'] == torch.__version__.split('+')[0]
    assert {'python', 'torchvision', 'numpy', 'pillow', 'runx'} <= command['versions'].keys()
    assert (command['world'], command['device']) == (1, 'cpu')
    assert command['line'] == shlex.join(sys.orig_argv)
    assert command['started'].startswith('20')
    assert command['git'] is None or len(command['git']['commit']) == 40


def test_outside_a_git_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, '__file__', str(tmp_path / 'provenance.py'))
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    assert provenance.git_state() is None


def test_uncommitted_changes_are_listed(monkeypatch, tmp_path):
    def git(*arguments):
        subprocess.run(
            ['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    (tmp_path / 'a.py').write_text('1')
    git('init')
    git('add', 'a.py')
    git('commit', '-m', 'first')
    monkeypatch.setattr(provenance, '__file__', str(tmp_path / 'provenance.py'))
    assert provenance.git_state()['changed'] == []
    (tmp_path / 'a.py').write_text('2')
    assert provenance.git_state()['changed'] == ['a.py']


def test_every_start_in_a_directory_keeps_its_record(tmp_path):
    for seed in (1, 2, 3):
        with start(flags(tmp_path, seed=seed)):
            pass
    seeds = {
        name: json.loads((tmp_path / 'run' / name).read_text())['seed']
        for name in ('hparams_1.json', 'hparams_2.json', 'hparams.json')
    }
    assert seeds == {'hparams_1.json': 1, 'hparams_2.json': 2, 'hparams.json': 3}


def test_seeds_are_set_before_anything_is_built(tmp_path):
    drawn = []
    for _ in range(2):
        with start(flags(tmp_path)):
            drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[1]


def test_an_existing_best_checkpoint_is_not_read_by_the_log(tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/best_checkpoint_ep4.pth').write_bytes(b'torch.load would refuse this')
    with start(flags(tmp_path), training=False) as started:
        started.log('here')
    assert (tmp_path / 'run/logging.log').read_text() == 'here\n'


# Two trainings in one directory


@pytest.fixture
def trained(tmp_path):
    for epoch in (3, 4):
        checkpoint.save(tmp_path / 'run' / f'last_checkpoint_ep{epoch}.pth', {'state_dict': {}, 'epoch': epoch})
    return tmp_path


def test_a_new_training_does_not_mix_with_an_earlier_one(trained):
    with pytest.raises(ValueError) as caught, start(flags(trained)):
        pass
    assert (
        str(caught.value) == f'--result_dir {trained}/run: holds last_checkpoint_ep4.pth of an earlier training; '
        f'continue it with --resume {trained}/run, or give another --result_dir'
    )
    assert sorted(os.listdir(trained / 'run')) == ['last_checkpoint_ep3.pth', 'last_checkpoint_ep4.pth']


@pytest.mark.parametrize('resume', ['auto', '{}/run/last_checkpoint_ep4.pth'])
def test_the_newest_checkpoint_may_be_continued(trained, resume):
    with start(flags(trained, resume=resume.format(trained))):
        assert (trained / 'run/hparams.json').exists()
    assert sorted(path.name for path in (trained / 'run').glob('*.pth')) == [
        'last_checkpoint_ep3.pth',
        'last_checkpoint_ep4.pth',
    ]


def test_continuing_from_an_older_checkpoint_in_the_same_directory_is_an_error(trained):
    resume = f'{trained}/run/last_checkpoint_ep3.pth'
    with pytest.raises(
        ValueError,
        match='holds last_checkpoint_ep4.pth, --resume gives .*ep3.pth; continue the newest with --resume auto',
    ):
        with start(flags(trained, resume=resume)):
            pass
    with start(flags(trained, resume=resume, result_dir=str(trained / 'branch'))):
        pass


def test_an_evaluation_may_write_beside_a_training(trained):
    with start(flags(trained), training=False):
        assert (trained / 'run/hparams.json').exists()


def test_an_evaluation_in_the_directory_of_a_training_gets_a_folder_of_its_own(trained):
    said = []
    args = flags(trained, eval='val')
    assert run.evaluation_directory(args, said.append) == str(trained / 'run' / 'eval_val')
    assert said == [f'--result_dir {trained}/run: holds a training; this evaluation writes to {trained}/run/eval_val']
    assert (
        run.evaluation_directory(flags(trained, eval='val', result_dir=f'{trained}/b'), said.append) == f'{trained}/b'
    )


def test_a_run_that_ends_before_its_inputs_are_checked_leaves_everything_as_it_was(tmp_path, trained):
    with start(flags(trained, resume='auto')):
        pass
    before = {path.name: path.read_bytes() for path in (trained / 'run').iterdir()}
    for directory in ('run', 'new'):
        args = flags(tmp_path, result_dir=str(tmp_path / directory), resume='auto', seed=9)
        with pytest.raises(ValueError), run_context(args, training=True, device='cpu') as started:
            started.log('a line')
            raise ValueError('--snapshot: another network')
    assert {path.name: path.read_bytes() for path in (trained / 'run').iterdir()} == before
    assert not (tmp_path / 'new').exists()


def test_lines_of_before_the_opening_stand_at_the_top_of_the_log(tmp_path):
    with run_context(flags(tmp_path), training=True, device='cpu') as started:
        started.log('first')
        started.open()
        started.log('second')
    assert (tmp_path / 'run/logging.log').read_text() == 'first\nsecond\n'


# One process in a directory


HOLD = """
import argparse, sys, time
from engine.run import run_context
args = argparse.Namespace(
    result_dir=sys.argv[1], seed=1, deterministic=False, distributed=False, timeout=30, resume=None
)
with run_context(args, training=True, device='cpu') as run:
    run.open()
    print('open', flush=True)
    time.sleep(60)
"""


def test_the_second_of_two_runs_in_a_directory_is_told_who_holds_it_and_a_killed_one_holds_nothing(tmp_path):
    first = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path / 'run')], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout.readline() == 'open\n'
        before = sorted(os.listdir(tmp_path / 'run'))
        for training in (True, False):
            with pytest.raises(ValueError) as caught, start(flags(tmp_path), training):
                pass
            assert re.fullmatch(
                rf'--result_dir {tmp_path}/run: is being written by process {first.pid} on {platform.node()} since'
                r' 20\d\d-\S+ \S+ \S+ \(-c .*\); wait for its end or stop it, or give another --result_dir',
                str(caught.value),
            )
        assert sorted(os.listdir(tmp_path / 'run')) == before
    finally:
        first.kill()
        first.wait()
    with start(flags(tmp_path)) as started:
        started.log('here')
    assert not (tmp_path / 'run/.lock').exists()


def test_a_training_that_another_one_has_continued_meanwhile_is_refused(trained):
    args = flags(trained, resume='auto')
    with pytest.raises(ValueError, match='another process has trained there since this one started'):
        with run_context(args, training=True, device='cpu') as started:
            checkpoint.save(trained / 'run' / 'last_checkpoint_ep5.pth', {'state_dict': {}, 'epoch': 5})
            started.open()
    assert not (trained / 'run/hparams.json').exists()


# Errors


def test_a_mistake_is_one_line_in_the_log_and_a_defect_a_whole_trace(tmp_path):
    with pytest.raises(ValueError), start(flags(tmp_path)):
        raise ValueError('--lr x: not a number')
    with pytest.raises(ZeroDivisionError), start(flags(tmp_path)):
        1 / 0  # noqa: B018
    lines = (tmp_path / 'run/logging.log').read_text().splitlines()
    assert lines[0] == 'stopped by ValueError: --lr x: not a number'
    assert lines[1] == 'stopped by Traceback (most recent call last):'
    assert lines[-1] == 'ZeroDivisionError: division by zero'


def test_a_result_dir_that_is_a_file_is_named(tmp_path):
    (tmp_path / 'run').write_text('')
    with pytest.raises(
        WriteError, match='run: cannot be written, a part of the path is a file, not a folder; name a folder'
    ):
        with start(flags(tmp_path)):
            pass


SPEAK = r"""
import argparse, sys
from engine.run import run_context
from utils.cli.program import run_program
args = argparse.Namespace(
    result_dir=sys.argv[1], seed=1, deterministic=False, distributed=False, timeout=30, resume=None
)
def body(argv):
    with run_context(args, training=True, device='cpu') as run:
        run.log('before: Stra\xdfe')
        run.open()
        run.log('classes: Stra\xdfe \u8eca \udcff')
        run.metric('val', {'Stra\xdfe': 0.5}, 0)
sys.exit(run_program('p.py', body))
"""


def test_names_that_the_console_or_the_locale_lacks_end_nothing_and_files_are_utf8(tmp_path):
    environment = {**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
    environment['PYTHONIOENCODING'] = 'ascii'
    done = subprocess.run(
        [sys.executable, '-c', SPEAK, tmp_path / 'run'],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert b'classes: Stra?e ? ?' in done.stdout
    lines = (tmp_path / 'run/logging.log').read_text(encoding='utf-8').splitlines()
    assert lines == ['before: Stra\xdfe', 'classes: Stra\xdfe \u8eca \\udcff']
    assert 'Stra\xdfe' in (tmp_path / 'run/metrics.csv').read_text(encoding='utf-8')


FULL = """
import argparse, resource, signal, sys
from engine.run import run_context
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
args = argparse.Namespace(
    result_dir=sys.argv[1], seed=1, deterministic=False, distributed=False, timeout=30, resume=None
)
try:
    with run_context(args, training=True, device='cpu') as run:
        run.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for step in range(2_000):
            run.metric('train', {'loss': 1.0, 'lr': 0.1}, step)
        run.flush()
        run.log('the last step')
except OSError as error:
    print(error)
"""


def test_events_that_cannot_be_written_are_told_once_and_the_run_goes_on(tmp_path):
    done = subprocess.run(
        [sys.executable, '-c', FULL, tmp_path / 'run'], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.splitlines() == [
        'tensorboard: gets nothing more of this run, which goes on without it: OSError: [Errno 27] File too large',
        'the last step',
    ]
    assert (tmp_path / 'run/logging.log').read_text() == done.stdout
    assert done.stderr == ''


def test_a_disk_without_room_for_the_first_lines_is_told_once(tmp_path):
    early = FULL.replace('try:', 'resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\ntry:', 1)
    done = subprocess.run(
        [sys.executable, '-c', early, tmp_path / 'run'], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert (
        done.stdout.startswith(f'{tmp_path}/run: cannot be written')
        and done.stdout.count('\n') == 1
        and done.stderr == ''
    )


def test_a_thread_that_dies_of_anything_is_told_once_by_the_next_line(tmp_path, capsys):
    with start(flags(tmp_path)) as started:
        thread = threading.Thread(target=lambda: 1 / 0, name='writer')
        thread.start()
        thread.join()
        started.log('next')
        started.log('and one more')
    told = 'the thread writer has ended: ZeroDivisionError: division by zero'
    assert (tmp_path / 'run/logging.log').read_text().splitlines() == ['next', told, 'and one more']
    assert capsys.readouterr() == (f'next\n{told}\nand one more\n', '')


def test_a_clock_that_is_put_back_by_a_month_ends_no_events(tmp_path, monkeypatch):
    with start(flags(tmp_path)) as started:
        started.metric('train', {'loss': 1.5}, 1)
        started.flush()
        now = time.time()
        monkeypatch.setattr(time, 'time', lambda: now - 30 * 86400)
        for step in (2, 3):
            started.metric('train', {'loss': 0.5}, step)
        started.flush()
        found = scalars(tmp_path / 'run')  # before the run has ended
    assert [(step, value) for _, step, value in found] == [(1, 1.5), (2, 0.5), (3, 0.5)]


def test_a_result_directory_that_vanished_is_told_by_the_next_line_and_is_not_made_again(tmp_path):
    for call in (lambda it: it.log('next'), lambda it: it.flush(), lambda it: it.row('train', 0, {'loss': 1.0})):
        with pytest.raises(WriteError) as caught, start(flags(tmp_path)) as started:
            (tmp_path / 'run').rename(tmp_path / 'elsewhere')
            call(started)
        assert str(caught.value) == (
            f'{tmp_path}/run: is gone: the result directory was removed, renamed or unmounted while this run wrote to'
            ' it; bring it back and go on with --resume auto, or start anew with a --result_dir that stays'
        )
        assert not (tmp_path / 'run').exists()
        shutil.rmtree(tmp_path / 'elsewhere')


@pytest.mark.parametrize(
    'found, rows, told, files',
    [
        (
            'start,start/step,0,timestamp,9\nval,mean_iu,0.5,epoch,4,timestamp,10\n',
            [('val', 4)],
            'metrics.csv: of an earlier version, now a table with 1 row of it',
            ['metrics.csv'],
        ),
        ('a,b\n1,2\n', [], "metrics.csv: is no table of numbers of a run (a line begins with 'a'); remove it, or give"
         ' another folder; it is metrics_1.csv now, and a new one begins', ['metrics.csv', 'metrics_1.csv']),
    ],
)  # fmt: skip
def test_numbers_of_earlier_versions_are_taken_over_and_other_files_put_aside(found, rows, told, files, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/metrics.csv').write_text(found)
    with start(flags(tmp_path)):
        assert list(MetricsTable.read(tmp_path / 'run/metrics.csv').rows) == rows
    assert (tmp_path / 'run/logging.log').read_text() == f'{tmp_path}/run/{told}\n'
    assert sorted(path.name for path in (tmp_path / 'run').glob('metrics*')) == files
    if not rows:
        assert (tmp_path / 'run/metrics_1.csv').read_text() == found


def test_a_run_may_go_without_trackers(tmp_path):
    with start(flags(tmp_path, log_to=())) as started:
        started.metric('val', {'mean_iu': 0.25}, 3)
    assert sorted(os.listdir(tmp_path / 'run')) == ['hparams.json', 'logging.log', 'metrics.csv']


def test_temporaries_of_earlier_processes_are_removed_when_a_run_opens_whatever_their_number(tmp_path):
    (tmp_path / 'run/best_images/val').mkdir(parents=True)
    left = [f'.last_checkpoint_ep3.pth.{number}.0a1b2c3d.tmp' for number in (os.getpid(), 1, 999999999)]
    left = [tmp_path / 'run' / name for name in (*left, 'best_images/val/.x_input.png.1.0a1b2c3d.tmp')]
    for path in left:
        path.write_bytes(b'half of one')
    with start(flags(tmp_path)):
        assert [path for path in left if path.exists()] == []


def test_code_that_calls_logx_writes_to_the_run(tmp_path, capsys):
    with start(flags(tmp_path)) as started:
        logx.msg('a line')
        logx.metric('val', {'mean_iu': 0.5}, 2)
        logx.metric('train', {'loss': 1.5}, 7)
        logx.add_scalar('mine', 3.0, 4)
        started.flush()
        assert scalars(tmp_path / 'run') == [('val/mean_iu', 2, 0.5), ('train/loss', 7, 1.5), ('mine', 4, 3.0)]
    assert (tmp_path / 'run/logging.log').read_text() == 'a line\n'
    assert MetricsTable.read(tmp_path / 'run/metrics.csv').of('val')[2]['mean_iu'] == 0.5
    assert 'msg' not in vars(logx)


def test_other_ranks_write_and_print_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, 'init_from_env', lambda *_: run.Dist(rank=1, world=2))
    monkeypatch.setattr(run.Dist, 'broadcast_object', lambda *_: None)
    with start(flags(tmp_path)) as started:
        started.log('hello')
        started.metric('val', {'mean_iu': 0.25}, 3)
    assert not (tmp_path / 'run').exists()
    assert capsys.readouterr() == ('', '')
