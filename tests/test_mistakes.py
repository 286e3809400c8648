"""Mistakes of a person: one line that names the file or flag and the remedy, exit code 2, nothing half-written."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from small import EPOCH, TRAIN

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


@pytest.mark.parametrize(
    'flags, parts',
    [
        (
            ['--arch', 'ocrnet.HRNet_Mscal'],
            ['--arch', "no architecture 'ocrnet.HRNet_Mscal'", 'mean ocrnet.HRNet_Mscale'],
        ),
        (['--trunk', 'hrnetv3'], ['--trunk', "no trunk 'hrnetv3'", 'mean hrnetv2 or']),
        (['--dataset', 'cityscape'], ['--dataset cityscape:', 'no such dataset', 'mean cityscapes?', 'acdc, ade20k']),
        (['--loss', 'ce,rmi,ce,ce,ce'], ['--loss', '5 given for 4', '(pred, aux, pred_05x, pred_10x)', 'give one for']),
        (['--loss', 'ce,ce,ce,diec'], ['--loss', "'diec' is not known", 'rmi, wrmi, bce']),
        (['--bs_trn', '64'], ['--bs_trn 64', '64 images per step', "'synthetic' has 12", 'a smaller --bs_trn']),
        (['--crop_size', '900,900'], ['--crop_size 900,900', '128 x 256', 'use --crop_size 128,256', '--scale_max']),
        (['--lr_schedule', 'scl-poly'], ['--rlx_off_epoch, which is -1', 'from 0 to --max_epoch - 1 = 1']),
        (['--distributed'], ['--distributed', 'use torchrun --standalone --nproc-per-node', 'leave the flag out']),
        (['--rand_augment', '2'], ["--rand_augment '2' is not N,M", 'N >= 1', '0 to 30', '--rand_augment 2,10']),
        (['--snapshot', 'nowhere.pth'], ['nowhere.pth: no such checkpoint', 'fetch_weights.sh']),
        (['--resume', 'nowhere.pth'], ['nowhere.pth: no such checkpoint', 'give the path of one']),
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
    one_line(printed, tmp_path / 'empty', 'no folder leftImg8bit', '--override_dataset_root')


def test_an_image_without_its_label(program, broken):
    root, files = broken
    image, label = files('train')
    label.unlink()
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, f'{image}: its label {label} does not exist', '1 of the 12 images', 'add the missing labels')


def test_a_label_of_another_size_and_one_with_unknown_ids(program, broken):
    root, files = broken
    image, label = files('train')
    good = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(label), good[:-1])
    code, printed = program(*TRAIN, '--override_dataset_root', root, '--class_uniform_pct', '0')
    assert code == 2
    one_line(printed, f'{label}: 128x63, its image 128x64', 'bring both to one size')
    bad = good.copy()
    bad[3, 5], bad[4, 6] = 77, 200
    cv2.imwrite(str(label), bad)
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, f'{label}: id 77 in 1 pixel, id 200 in 1 pixel', 'list them under --ignore_ids')
    code, printed = program(*TRAIN, '--override_dataset_root', root, '--ignore_ids', '77,200', '--max_epoch', '1')
    assert code == 0, printed


def test_an_unreadable_image(program, broken):
    root, files = broken
    image, _ = files('train')
    image.write_bytes(b'not a picture')
    code, printed = program(*TRAIN, '--override_dataset_root', root)
    assert code == 2
    one_line(printed, f'{image}: is damaged or no image', 'replace these files')


class Trick:
    def __reduce__(self):
        return eval, ('1',)


def test_checkpoints_that_are_none_hold_code_or_fit_nothing(program, tmp_path):
    (tmp_path / 'text.pth').write_text('hello')
    torch.save({'state_dict': {'x': torch.zeros(1)}, 'trick': Trick()}, tmp_path / 'code.pth')
    torch.save({'state_dict': {'nothing.like.it': torch.zeros(3)}}, tmp_path / 'other.pth')
    torch.save({'epoch': 3}, tmp_path / 'empty.pth')
    for name, *parts in (
        ('text', "not a PyTorch checkpoint (it starts with b'hello')", 'written by torch.save'),
        ('code', 'holds code (eval)', 'was refused', 're-save its weights alone'),
        ('other', 'none of its 1 tensors fits', 'nothing.like.it', 'give the --arch and --trunk'),
        ('empty', "holds entries ['epoch']", "expected an entry 'state_dict'", 're-save it'),
    ):
        code, printed = program('--eval', 'val', '--snapshot', tmp_path / f'{name}.pth')
        assert code == 2
        one_line(printed, f'{name}.pth', *parts)
        assert not (program.run_dir / 'metrics.json').exists()


@pytest.mark.parametrize('split', ['folder', 'val'])
def test_an_evaluation_with_the_classes_of_another_dataset_names_the_flags_of_the_right_ones(
    program, snapshot, broken, tmp_path, split
):
    state = checkpoint.load(snapshot)
    heads = ('ocr.cls_head.', 'ocr.aux_head.2.')
    state['state_dict'] = {
        key: value[:7] if key.startswith(heads) else value for key, value in state['state_dict'].items()
    }
    state = {**state, 'num_classes': 7, 'class_names': None, 'dataset': 'custom_streets', 'data_yaml': 'root: x'}
    checkpoint.save(tmp_path / 'seven.pth', state)
    folder = ['--eval_folder', broken[0]] if split == 'folder' else []
    code, printed = program('--eval', split, *folder, '--snapshot', tmp_path / 'seven.pth')
    assert code == 2
    one_line(
        printed,
        'seven.pth: has 7 classes, the network has 19; the classes come from --dataset synthetic; give those of the'
        ' checkpoint: --dataset custom --data_yaml FILE, the file that describes custom_streets',
    )
    assert 'allow_class_mismatch' not in printed
    assert ('python predict.py' in printed) == (split == 'folder')


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
    one_line(printed, 'wide.pth: has 23 classes, the network has 19; --allow_class_mismatch', 'ocr.cls_head.weight')
    code, printed = program(*EPOCH, '--snapshot', tmp_path / 'wide.pth', '--allow_class_mismatch')
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
    code, printed = program(*EPOCH, '--snapshot', tmp_path / 'old.pth')
    assert code == 0 and 'missing in the file (scale_attn' in printed, printed
    code, printed = program('--eval', 'val', '--snapshot', tmp_path / 'old.pth')
    assert code == 2
    one_line(printed, 'old.pth: does not fit', '11 missing in the file (scale_attn.conv0.weight', '--snapshot_partial')


def test_a_folder_without_images(program, tmp_path):
    (tmp_path / 'nothing').mkdir()
    code, printed = program('--eval', 'folder', '--eval_folder', tmp_path / 'nothing', '--random_weights')
    assert code == 2
    one_line(printed, f'{tmp_path / "nothing"}: holds no images (png, ', '--eval_folder')


def test_a_new_training_does_not_write_into_the_run_of_another(program, trained):
    before = trained.read_bytes()
    code, printed = program(*TRAIN)
    assert code == 2
    one_line(
        printed,
        f'--result_dir {trained.parent}: holds {trained.name}',
        f'with --resume {trained.parent}',
        'another --result_dir',
    )
    assert trained.read_bytes() == before


def test_a_loss_that_is_not_finite_stops_with_the_names_of_the_images(program, monkeypatch):
    from loss.criterion import OutputsCriterion

    forward = OutputsCriterion.forward

    def poisoned(self, outputs, labels):
        losses = forward(self, outputs, labels)
        return {**losses, 'loss': losses['loss'] * float('nan')}

    monkeypatch.setattr(OutputsCriterion, 'forward', poisoned)
    code, printed = program(*TRAIN, '--max_skipped_steps', '2')
    assert code == 2
    one_line(printed, '3 steps had a non-finite', 'batch 3, images train/', '--max_skipped_steps 2', 'lower --lr')
    assert printed.count('step skipped') == 3


def test_a_wrong_command_leaves_a_run_as_it_was_and_a_new_one_no_directory(program, trained, tmp_path):
    files = {path: path.read_bytes() for path in program.run_dir.rglob('*') if path.is_file()}
    weights = program.run_dir / 'best_checkpoint_ep0.pth'
    for wrong in (
        ['--resume', 'auto', '--max_epoch', '3', '--optimizer', 'adamw'],
        ['--resume', 'auto', '--max_epoch', '3', '--arch', 'ocrnet.HRNet'],
        ['--resume', 'auto', '--max_epoch', '3', '--crop_size', '4096,4096'],
        ['--result_dir', tmp_path / 'new', '--crop_size', '4096,4096'],
        ['--result_dir', tmp_path / 'new', '--eval', 'val', '--snapshot', weights, '--arch', 'ocrnet.HRNet'],
        [
            '--result_dir',
            tmp_path / 'new',
            '--snapshot',
            weights,
            '--eval',
            'folder',
            '--eval_folder',
            tmp_path / 'nowhere',
        ],
    ):
        code, printed = program(*TRAIN, *wrong)
        assert code == 2, (wrong, printed)
    assert not (tmp_path / 'new').exists()
    code, printed = program('--eval', 'val', '--snapshot', weights)
    assert code == 0 and f'this evaluation writes to {program.run_dir}/eval_val' in printed
    assert (program.run_dir / 'eval_val/metrics.json').exists()
    assert {path: path.read_bytes() for path in files} == files


def test_an_evaluation_leaves_out_unreadable_images_and_lists_all_of_them_at_the_end(program, tmp_path):
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in 'abcd':
        cv2.imwrite(str(folder / f'{name}.png'), np.full((64, 96, 3), 90, np.uint8))
    for name in 'bd':
        (folder / f'{name}.png').write_bytes((folder / f'{name}.png').read_bytes()[:60])
    flags = ['--eval', 'folder', '--eval_folder', folder, '--random_weights', '--dump_for_auto_labelling']
    flags += ['--bs_val', '2']
    code, printed = program(*flags, '--strict')
    assert code == 2 and 'b.png: ' in printed
    code, printed = program(*flags)
    lines = printed.splitlines()
    at = lines.index('2 of 4 images were left out:')
    assert code == 1 and [line.split('.png: ')[0] for line in lines[at + 1 : at + 3]] == [
        f'  {folder}/{name}' for name in 'bd'
    ]
    assert sorted(path.name for path in program.run_dir.glob('*_prob.png')) == ['a_prob.png', 'c_prob.png']


def test_a_full_disk_stops_with_the_file_and_leaves_no_half_checkpoint(program, monkeypatch):
    import errno
    import os

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr('utils.files.atomic.os.fsync', full)
    code, printed = program(*EPOCH)
    assert code == 2
    one_line(printed, f'{program.run_dir.parent}/', ': cannot be written, the disk is full', 'free some space')
    assert not list(program.run_dir.glob('*.pth')) and not list(program.run_dir.glob('.*.tmp'))


def test_running_out_of_memory_is_told_with_the_flags_that_help(program, monkeypatch):
    from network.mscale import MultiScale

    forward = MultiScale.forward

    def exhausted(self, *arguments, **options):
        if self.training:
            return forward(self, *arguments, **options)
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 5.00 GiB.')

    monkeypatch.setattr(MultiScale, 'forward', exhausted)
    code, printed = program(*EPOCH)
    assert code == 2
    one_line(printed, 'Tried to allocate 5.00 GiB', '--n_scales', '--accumulate')
    assert checkpoint.load(program.run_dir / 'last_checkpoint_ep0.pth')['batch_in_epoch'] == 6, (
        'the epoch before the validation is saved'
    )
