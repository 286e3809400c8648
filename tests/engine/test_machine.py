import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from small import ROOT
from torch.utils.data import DataLoader, Dataset

from engine import machine
from engine.machine import MachineError, compiler_lacks, told


class Killed(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def message(*errors):
    """What is told of errors of which each is raised while the one before is handled."""

    def rise(left):
        if len(left) == 1:
            raise left[0]
        try:
            rise(left[:-1])
        except Exception:
            raise left[-1]  # noqa: B904 (as an interrupted writer does)

    with pytest.raises(MachineError) as caught, told():
        rise(list(errors))
    return str(caught.value)


KILLED = RuntimeError('DataLoader worker (pid 71) is killed by signal: Killed. ')
SENTENCE = (
    'a loader process has been killed by signal: Killed, most often by the system because the memory was full; give'
    ' fewer --num_workers (0: the program loads by itself) or a smaller --bs_trn; --resume auto continues a training'
)


def test_a_killed_loader_process_is_told_with_the_flag_that_helps():
    with pytest.raises(
        MachineError, match=r'a loader process has (been killed by signal|exited unexpectedly).*--num_workers'
    ):
        with told():
            list(DataLoader(Killed(), num_workers=1))


def test_it_is_found_behind_the_error_of_what_it_interrupted():
    assert message(KILLED) == SENTENCE
    assert (
        message(KILLED, RuntimeError('[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 64'))
        == SENTENCE
    )


@pytest.mark.parametrize(
    'text',
    [
        "DataLoader worker (pid 5) is killed by signal: Bus error. It is possible that dataloader's workers are out of"
        ' shared memory. Please try to raise your shared memory limit.',
        'Caught RuntimeError in DataLoader worker process 0.\nRuntimeError: unable to write to file </torch_71_3>: No'
        ' space left on device (28)',
    ],
)
def test_too_little_shared_memory_is_told_with_the_flag_of_docker(text):
    sentence = message(RuntimeError(text))
    assert sentence.startswith('the loader processes ran out of shared memory')
    assert sentence.endswith(
        'fewer --num_workers (0: the program loads by itself), or more of it, in Docker with --shm-size 8g'
    )


FULL = """
import torch
from torch.utils.data import DataLoader, Dataset
from engine.machine import MachineError, told
class Large(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, place):
        return torch.ones(1 << 20)
try:
    with told():
        list(DataLoader(Large(), batch_size=2, num_workers=1))
except MachineError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_shared_memory_that_is_really_full_is_told_so(tmp_path):
    (tmp_path / 'full.py').write_text(FULL)
    mount = 'mount -t tmpfs -o size=2m tmpfs /dev/shm'
    if subprocess.run(['unshare', '-m', 'sh', '-c', mount], capture_output=True).returncode:
        pytest.skip('nothing may be mounted here')
    done = subprocess.run(
        ['unshare', '-m', 'sh', '-c', f'{mount} && exec "$0" "$1"', sys.executable, tmp_path / 'full.py'],
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert re.fullmatch(
        r'the loader processes ran out of shared memory \(/dev/shm: [012] of 2 MiB free\), in which they hand over'
        r' batches; give fewer --num_workers \(0: the program loads by itself\), or more of it, in Docker with'
        r' --shm-size 8g\n',
        done.stdout,
    ), done.stdout + done.stderr


def test_a_process_that_does_not_answer_is_told_with_the_flag_of_the_waiting_time(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    error = RuntimeError('[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 60000ms for recv operation')
    assert message(error).startswith('another process has not answered for the time of --timeout')


def test_errors_of_the_program_stay_what_they_are():
    for error in (
        ValueError('DataLoader worker (pid 7) exited unexpectedly'),
        RuntimeError('size mismatch'),
        KeyError(1),
    ):
        with pytest.raises(type(error)) as caught, told():
            raise error
        assert caught.value is error


def test_a_machine_without_a_compiler_runs_uncompiled_and_says_so(program, monkeypatch):
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setattr(machine.shutil, 'which', lambda name: None)
    assert compiler_lacks(torch.device('cuda')) == 'no C compiler (gcc or clang or cc) is installed'
    code, printed = program('--eval', 'val', '--random_weights', '--compile')
    assert code == 0 and (
        '--compile: no C++ compiler (g++ or clang++) is installed, so the network runs uncompiled: the same results,'
        ' slower; install one' in printed
    )
