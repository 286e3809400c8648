"""The limit of pixels: a flag of every program that reads images."""

import pytest
from prepare_trees import TREES

import predict
import train
from datasets.browse import __main__ as browse
from datasets.describe import __main__ as describe
from datasets.loading import formats
from datasets.prepare import __main__ as prepare
from datasets.verify import __main__ as verify


@pytest.mark.parametrize(
    'run',
    [
        lambda folder: prepare.main(['shift', '--root', folder, '--max_pixels', '959']),
        lambda folder: describe.main([folder, '--max_pixels', '959']),
        lambda folder: predict.main([folder, '--weights', 'none.pth', '--max_pixels', '959']),
        lambda folder: browse.main(['--override_dataset_root', folder, '--max_pixels', '959']),
        lambda folder: verify.main(['--override_dataset_root', folder, '--max_pixels', '959']),
        lambda folder: train.main(['--eval', 'val', '--override_dataset_root', folder, '--max_pixels', '959']),
    ],
    ids=['prepare', 'describe', 'predict', 'browse', 'verify', 'train'],
)
def test_every_program_that_reads_images_takes_the_limit(tmp_path, monkeypatch, capsys, run):
    monkeypatch.setenv(formats.PIXELS_VARIABLE, '')
    monkeypatch.chdir(tmp_path)
    assert run(str(tmp_path)) == 2
    assert '--max_pixels' not in capsys.readouterr().err  # the folder is the mistake


def test_a_preparation_refuses_files_above_the_limit_by_the_flags_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(formats.PIXELS_VARIABLE, '')
    root = TREES['gta5'](tmp_path) or tmp_path
    assert prepare.main(['gta5', '--root', str(root), '--workers', '1', '--max_pixels', '3']) == 1
    assert 'expected at most the 3 of --max_pixels' in ''.join(capsys.readouterr())
