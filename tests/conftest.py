"""Fixtures shared by all tests: one thread, a small street data set, and the program called from Python."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train

ROOT = Path(__file__).parent.parent
# The smallest network of the family: seconds per test on a CPU.
SMALL = ['--trunk', 'hrnetv2_w18_small_v1', '--ocr_mid_channels', '32', '--ocr_key_channels', '16', '--segattn_bot_ch', '16']


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def street(tmp_path_factory):
    """A root with a synthetic data set of 12 training and 5 validation images of 64x128 pixels."""
    from datasets.prepare.synthetic import render

    root = tmp_path_factory.mktemp('data')
    render(root / 'synthetic', train=12, val=5, size=(64, 128), seed=3)
    return root


@pytest.fixture
def program(street, tmp_path, capsys):
    """program(*flags) -> (exit code, what it printed): train.main on the small data set and network, in this process."""
    def call(*flags, dataset='synthetic', small=True):
        argv = ['--dataset', dataset, '--override_dataset_root', str(street), '--assets_path', str(tmp_path / 'assets'), '--num_workers', '0']
        argv += SMALL if small else []
        argv += ['--result_dir', str(tmp_path / 'run')] if '--result_dir' not in flags else []
        code = train.main([*argv, *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err
    call.run_dir, call.street = tmp_path / 'run', street
    return call


TRAIN = ['--crop_size', '48,64', '--bs_trn', '2', '--max_epoch', '2', '--class_uniform_tile', '64', '--log_freq', '1']


def command(*arguments, **options):
    """Run a program of the repository in a process of its own; returns the CompletedProcess."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, **options)
