"""Fixtures shared by all tests: one thread, a small street data set, the program called from Python, a trained run."""

import shutil

import pytest
import torch
from small import EPOCH, run


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

    def call(*flags, **how):
        capsys.readouterr()  # what a shared run printed
        code = run(street, tmp_path, flags, **how)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    call.run_dir, call.street = tmp_path / 'run', street
    return call


@pytest.fixture(scope='session')
def snapshot_of(street, tmp_path_factory):
    """snapshot_of(*flags) -> the last checkpoint of a run of EPOCH with these flags, trained once for all tests.

    Nothing may write into its folder, nor train there: see `trained`.
    """
    made = {}

    def checkpoint(*flags):
        if flags not in made:
            folder = tmp_path_factory.mktemp('epoch')
            assert run(street, folder, [*EPOCH, *flags]) == 0
            made[flags] = next((folder / 'run').glob('last*.pth'))
        return made[flags]

    return checkpoint


@pytest.fixture
def snapshot(snapshot_of):
    """The last checkpoint of a run of EPOCH; see snapshot_of."""
    return snapshot_of()


@pytest.fixture
def trained(snapshot, program):
    """The last checkpoint of a run of EPOCH in program.run_dir, which is the test's own."""
    shutil.copytree(snapshot.parent, program.run_dir)
    return program.run_dir / snapshot.name
