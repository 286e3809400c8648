"""A run that stopped within an epoch, and whose list of samples is another one when it is resumed."""

import shutil

import cv2
import pytest
from small import TRAIN, run, stop_after

from datasets.prepare.synthetic import render
from utils import checkpoint

HALF = [*TRAIN, '--max_epoch', '1', '--class_uniform_pct', '0.8']


@pytest.fixture(scope='module')
def once(tmp_path_factory):
    """A folder with data that has a draw for each class, and a run on it that stopped after two of twelve batches."""
    folder = tmp_path_factory.mktemp('stopped')
    render(folder / 'data' / 'synthetic', train=24, val=5, size=(64, 128), seed=3)
    stop_after(2)
    assert run(folder / 'data', folder, HALF) == 75
    return folder


@pytest.fixture
def stopped(once, program, tmp_path):
    """The root of a copy of these data; program.run_dir is a copy of the run."""
    shutil.copytree(once / 'data', tmp_path / 'data')
    shutil.copytree(once / 'run', program.run_dir)
    return tmp_path / 'data'


def images(root):
    return sorted(path for path in root.rglob('*leftImg8bit.png') if 'train' in path.parts)


def label_of(image):
    [label] = image.parents[4].rglob(image.name.replace('leftImg8bit', 'gtFine_labelIds'))
    return label


def remove(root):
    label_of(images(root)[0]).unlink()
    images(root)[0].unlink()


def add(root):
    image, label = images(root)[0], label_of(images(root)[0])
    shutil.copy(image, image.with_name('zz_' + image.name))
    shutil.copy(label, label.with_name('zz_' + label.name))


def replace(root):
    """Another picture in a file of as many bytes: a PNG may end before its file does."""
    path = images(root)[1]
    size, picture = path.stat().st_size, cv2.imread(str(path))
    data = cv2.imencode('.png', 255 - picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    path.write_bytes(data + bytes(size - len(data)))
    assert path.stat().st_size == size


@pytest.mark.parametrize(
    'change, flags, told',
    [
        (remove, [], '1 image removed ('),
        (add, [], '1 image added ('),
        (replace, [], '1 image replaced ('),
        (None, ['--class_uniform_pct', '0'], '--class_uniform_pct 0.0 (was 0.8)'),
        (None, ['--class_uniform_tile', '32'], '--class_uniform_tile 32 (was 64)'),
        (None, ['--seed', '9'], '--seed 9 (was 0)'),
        (None, ['--cv', '1'], '--cv 1 (was 0)'),
    ],
)
def test_a_position_in_another_list_is_refused_with_what_changed_or_begun_anew(program, stopped, change, flags, told):
    if change:
        change(stopped)
    flags = [*HALF, *flags, '--override_dataset_root', stopped, '--resume', 'auto']
    code, printed = program(*flags)
    assert code == 2 and told in printed, printed
    assert 'the run stopped after batch 2 of epoch 0, a place in a list of samples' in printed
    assert printed.rstrip().endswith('or give --restart_epoch to begin the epoch anew')
    code, printed = program(*flags, '--restart_epoch')
    assert code == 0 and '--restart_epoch: epoch 0 begins anew, 2 batches of it were done before' in printed
    assert '[epoch 0], [iter 1 / ' in printed


def test_data_that_was_only_copied_is_the_same_and_between_epochs_a_change_is_said(program, stopped):
    for path in images(stopped):
        path.touch()
    flags = [*HALF, '--override_dataset_root', stopped, '--resume', 'auto']
    code, printed = program(*flags)
    assert code == 0 and 'continuing at epoch 0, batch 2' in printed
    assert checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')['data']['order'] is None
    remove(stopped)
    code, printed = program(*flags, '--max_epoch', '2')
    assert code == 0 and 'the training images have changed since: 1 image removed (' in printed
