"""What bad input gets: one line that names the file or flag and the remedy, exit code 2, nothing half-written."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from small import TRAIN

from utils import checkpoint


def one_line(printed, *parts):
    errors = [line for line in printed.splitlines() if line.startswith('train.py: error: ')]
    assert len(errors) == 1, printed
    for part in parts:
        assert str(part) in errors[0], errors[0]
    assert 'Traceback' not in printed


@pytest.fixture
def broken(street, tmp_path):
    """A copy of the data set to spoil: its root, and (image, label) paths of the first validation and training
    images."""
    root = tmp_path / 'spoilt'
    shutil.copytree(street, root)

    def files(split):
        image = sorted((root / 'synthetic' / 'leftImg8bit' / split).rglob('*.png'))[0]
        label = next(root.rglob(image.name.replace('leftImg8bit', 'gtFine_labelIds')))
        return image, label

    return root, files


@pytest.fixture
def snapshot(program, tmp_path):
    """A checkpoint of the small network after one short epoch."""
    result = tmp_path / 'trained'
    assert program(*TRAIN, '--max_epoch', '1', '--test_mode', '--result_dir', result)[0] == 0
    return next(result.glob('last_checkpoint_ep*.pth'))


@pytest.mark.parametrize(
    'flags, parts',
    [
        (['--arch', 'ocrnet.HRNet_Mscal'], ['--arch', 'ocrnet.HRNet_Mscale']),
        (['--trunk', 'hrnetv3'], ['--trunk', 'hrnetv2']),
        (['--dataset', 'cityscape'], ['--dataset', 'cityscapes']),
        (['--loss', 'ce,rmi'], ['--loss', 'pred, aux']),
        (['--loss', 'ce,ce,ce,diec'], ['--loss', 'diec']),
        (['--bs_trn', '64'], ['--bs_trn']),
        (['--crop_size', '900,900'], ['--crop_size', '128']),
        (['--lr_schedule', 'scl-poly'], ['--rlx_off_epoch']),
        (['--distributed'], ['torchrun']),
        (['--rand_augment', '2'], ['--rand_augment']),
        (['--snapshot', 'nowhere.pth'], ['nowhere.pth']),
        (['--resume', 'nowhere.pth'], ['nowhere.pth']),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(program, flags, parts):
    code, printed = program(*TRAIN, *flags)
    assert code == 2
    one_line(printed, *parts)
    assert not list(program.run_dir.glob('*.pth')) if program.run_dir.exists() else True


def test_a_missing_root_and_an_empty_one(program, tmp_path):
    code, printed = program(*TRAIN, '--override_dataset_root', tmp_path / 'nowhere')
    assert code == 2
    one_line(printed, tmp_path / 'nowhere', 'datasets.prepare synthetic')
    (tmp_path / 'empty' / 'synthetic').mkdir(parents=True)
    code, printed = program(*TRAIN, '--override_dataset_root', tmp_path / 'empty')
    assert code == 2
    one_line(printed, tmp_path / 'empty')


def test_an_image_without_its_label(program, broken):
    root, files = broken
    files('train')[1].unlink()
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, files('val')[0].parent.name[:0], 'label')


def test_a_label_of_another_size_and_one_with_unknown_ids(program, broken):
    root, files = broken
    image, label = files('train')
    good = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(label), good[:-1])
    code, printed = program(*TRAIN, '--override_dataset_root', root, '--class_uniform_pct', '0')
    assert code == 2
    one_line(printed, label.name, '128x63', '128x64')
    bad = good.copy()
    bad[3, 5], bad[4, 6] = 77, 200
    cv2.imwrite(str(label), bad)
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, label.name, '77', '200', '--ignore_ids')
    code, printed = program(*TRAIN, '--override_dataset_root', root, '--ignore_ids', '77,200', '--max_epoch', '1')
    assert code == 0, printed


def test_an_unreadable_image(program, broken):
    root, files = broken
    image, _ = files('train')
    image.write_bytes(b'not a picture')
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, image.name)


def test_checkpoints_that_are_none_hold_code_or_fit_nothing(program, tmp_path):
    (tmp_path / 'text.pth').write_text('hello')
    torch.save({'state_dict': {'x': torch.zeros(1)}, 'trick': torch.nn.Linear(1, 1)}, tmp_path / 'code.pth')
    torch.save({'state_dict': {'nothing.like.it': torch.zeros(3)}}, tmp_path / 'other.pth')
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    for name, part in (
        ('text', 'not a PyTorch checkpoint'),
        ('code', 'holds code'),
        ('other', 'none of its'),
        ('empty', 'state_dict'),
    ):
        code, printed = program('--eval', 'val', '--snapshot', tmp_path / f'{name}.pth')
        assert code == 2
        one_line(printed, f'{name}.pth', part)
        assert not (program.run_dir / 'metrics.json').exists()


def test_another_number_of_classes_needs_a_flag(program, snapshot, tmp_path):
    state = checkpoint.load(snapshot)
    heads = ('ocr.cls_head.', 'ocr.aux_head.2.')
    state['state_dict'] = {
        key: torch.cat([value, value])[:23] if key.startswith(heads) else value
        for key, value in state['state_dict'].items()
    }
    checkpoint.save(tmp_path / 'wide.pth', state)
    code, printed = program(*TRAIN, '--snapshot', tmp_path / 'wide.pth')
    assert code == 2
    one_line(printed, '23 classes', '19', '--allow_class_mismatch')
    code, printed = program(
        *TRAIN,
        '--snapshot',
        tmp_path / 'wide.pth',
        '--allow_class_mismatch',
        '--test_mode',
        '--result_dir',
        tmp_path / 'again',
    )
    assert code == 0, printed


def test_a_checkpoint_without_attention_starts_a_multi_scale_training_but_is_not_evaluated(program, snapshot, tmp_path):
    state = checkpoint.load(snapshot)
    weights = {
        f'module.{key}': value for key, value in state['state_dict'].items() if not key.startswith('scale_attn.')
    }
    torch.save(
        {'state_dict': weights, 'epoch': 3, 'mean_iu': np.float64(0.5), '__metric': np.float64(0.5)},
        tmp_path / 'old.pth',
    )
    code, printed = program(
        *TRAIN, '--snapshot', tmp_path / 'old.pth', '--test_mode', '--result_dir', tmp_path / 'again'
    )
    assert code == 0 and 'missing in the file (scale_attn' in printed, printed
    code, printed = program('--eval', 'val', '--snapshot', tmp_path / 'old.pth')
    assert code == 2
    one_line(printed, 'scale_attn')


def test_a_folder_without_images(program, tmp_path):
    (tmp_path / 'nothing').mkdir()
    code, printed = program('--eval', 'folder', '--eval_folder', tmp_path / 'nothing')
    assert code == 2
    one_line(printed, tmp_path / 'nothing')


def test_a_new_training_does_not_write_into_the_run_of_another(program, snapshot):
    before = snapshot.read_bytes()
    code, printed = program(*TRAIN, '--result_dir', snapshot.parent)
    assert code == 2
    one_line(printed, snapshot.parent, '--resume auto')
    assert snapshot.read_bytes() == before


def test_a_loss_that_is_not_finite_stops_with_the_names_of_the_images(program, monkeypatch):
    from loss.criterion import OutputsCriterion

    forward = OutputsCriterion.forward

    def poisoned(self, outputs, labels):
        losses = forward(self, outputs, labels)
        return {**losses, 'loss': losses['loss'] * float('nan')}

    monkeypatch.setattr(OutputsCriterion, 'forward', poisoned)
    code, printed = program(*TRAIN, '--max_skipped_steps', '2')
    assert code == 2
    one_line(printed, '--max_skipped_steps 2', '3 steps', '_leftImg8bit.png')
    assert printed.count('step skipped') == 3


def test_a_full_disk_stops_with_the_file_and_leaves_no_half_checkpoint(program, monkeypatch):
    import errno
    import os

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('utils.files.atomic.os.fsync', full)
    code, printed = program(*TRAIN, '--max_epoch', '1')
    assert code == 2
    one_line(printed, 'the disk is full')
    assert not list(program.run_dir.glob('*.pth')) and not list(program.run_dir.glob('.*.tmp'))


def test_running_out_of_memory_is_told_with_the_flags_that_help(program, monkeypatch):
    from engine.evaluator import Evaluator

    def exhausted(self, *arguments):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 5.00 GiB.')

    monkeypatch.setattr(Evaluator, '_forward', exhausted)
    code, printed = program(*TRAIN, '--max_epoch', '1')
    assert code == 2
    one_line(printed, 'Tried to allocate 5.00 GiB', '--n_scales', '--accumulate')
    assert checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')['batch_in_epoch'] == 6, (
        'the epoch before the validation is saved'
    )
