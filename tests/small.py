"""Runs of the program in tests: the smallest network and training, a signal in the middle, a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch.multiprocessing as mp
from torch.optim.optimizer import register_optimizer_step_post_hook

import train

ROOT = Path(__file__).parent.parent
# The smallest network of the family: seconds per test on a CPU.
SMALL = [
    '--trunk',
    'hrnetv2_w18_small_v1',
    '--ocr_mid_channels',
    '32',
    '--ocr_key_channels',
    '16',
    '--segattn_bot_ch',
    '16',
]
TRAIN = ['--crop_size', '48,64', '--bs_trn', '2', '--max_epoch', '2', '--class_uniform_tile', '64', '--log_freq', '1']
EPOCH = [*TRAIN, '--max_epoch', '1']


def run(street, folder, flags, dataset='synthetic', small=True) -> int:
    """The exit code of train.main on a data set below `street`, with its results in folder/run, in this process."""
    places = ['--override_dataset_root', street, '--assets_path', folder / 'assets', '--result_dir', folder / 'run']
    argv = ['--dataset', dataset, *places, '--num_workers', '0', *(SMALL if small else []), *flags]
    with pytest.MonkeyPatch.context() as patch:
        # Pictures for TensorBoard of 32 pixels, not 384: to encode them took as long as an epoch.
        patch.setattr('utils.outputs.pictures.GRID_SIDE', 32)
        return train.main([str(word) for word in argv])


def command(*arguments, timeout=300, **options):
    """Run a program of the repository in a process of its own; returns the CompletedProcess. timeout: in seconds."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def _as_rank(rank, port, function, arguments):
    variables = {'RANK': rank, 'LOCAL_RANK': rank, 'WORLD_SIZE': 2, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port}
    os.environ.update({name: str(value) for name, value in variables.items()})
    function(*arguments)


def on_two_processes(function, *arguments):
    """Call function(*arguments) in two forked processes that torchrun seems to have started; an error of one is
    raised."""
    mp.start_processes(_as_rank, (free_port(), function, arguments), nprocs=2, start_method='fork')


def stop_after(steps: int, number=signal.SIGTERM, times=1):
    """Send this process a signal, `times` times, when it has taken `steps` more optimizer steps."""

    def count(*_):
        nonlocal steps
        steps -= 1
        if steps == 0:
            hook.remove()
            for _ in range(times):
                signal.raise_signal(number)

    hook = register_optimizer_step_post_hook(count)
