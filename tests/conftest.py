"""Fixtures shared by all tests: one thread, a small street data set, and the program called from Python."""

import pytest
import torch
from small import SMALL

import train


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
    """program(*flags) -> (exit code, what it printed): train.main on the small data set and network, in this
    process."""

    def call(*flags, dataset='synthetic', small=True):
        argv = [
            '--dataset',
            dataset,
            '--override_dataset_root',
            str(street),
            '--assets_path',
            str(tmp_path / 'assets'),
            '--num_workers',
            '0',
        ]
        argv += SMALL if small else []
        argv += ['--result_dir', str(tmp_path / 'run')] if '--result_dir' not in flags else []
        code = train.main([*argv, *map(str, flags)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    call.run_dir, call.street = tmp_path / 'run', street
    return call
