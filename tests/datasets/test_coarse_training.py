"""Coarse and automatic labels through the program: flags, the round trip of automatic labels, resuming."""
import shutil

import cv2
import numpy as np
import pytest
import torch
from small import TRAIN

import train
from config import scope
from datasets import get_dataset
from utils import checkpoint
from utils.trainer import Trainer

EPOCH = [*TRAIN, '--max_epoch', '1']


@pytest.fixture
def coarse(street, tmp_path):
    """A root whose synthetic data set has its validation images as coarse ones too, five of them in two cities."""
    root = tmp_path / 'data'
    shutil.copytree(street, root)
    base = root / 'synthetic'
    for number, image in enumerate(sorted((base / 'leftImg8bit/val').rglob('*.png'))):
        label = base / 'gtFine/val' / image.parent.name / image.name.replace('leftImg8bit', 'gtFine_labelIds')
        city = ('oxdorf', 'pinnau')[number % 2]
        name = f'{city}_{number:06d}_000000'
        for source, target in ((image, f'leftImg8bit_trainextra/leftImg8bit/train_extra/{city}/{name}_leftImg8bit.png'),
                               (label, f'gtCoarse/gtCoarse/train_extra/{city}/{name}_gtCoarse_labelIds.png')):
            (base / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, base / target)
    return root


def last(folder):
    return checkpoint.load(next(folder.glob('last_checkpoint_ep*.pth')))


def same(left, right):
    return all(torch.equal(left['state_dict'][key], right['state_dict'][key]) for key in left['state_dict'])


def test_what_auto_labelling_writes_is_what_training_reads(program, coarse, tmp_path):
    code, printed = program(*EPOCH, '--override_dataset_root', coarse)
    assert code == 0, printed
    snapshot, written = next(program.run_dir.glob('last*.pth')), tmp_path / 'written'
    code, printed = program('--eval', 'folder', '--eval_folder', coarse / 'synthetic/leftImg8bit_trainextra/leftImg8bit', '--snapshot', snapshot,
                            '--dump_for_auto_labelling', '--result_dir', written, small=False)
    assert code == 0, printed

    items = get_coarse(coarse, written, probability=0.06).items
    assert [item.label for item in items] == [written / item.name for item in items] and len(items) == 5
    held = 0
    for item in items:
        dataset = get_coarse(coarse, written, probability=0.06)
        sure = cv2.imread(str(item.label).replace('.png', '_prob.png'), cv2.IMREAD_UNCHANGED) >= 0.06 * 255
        expected = np.where(sure, dataset.id_to_trainid[cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)], 255)
        assert np.array_equal(dataset.load(item)[1], expected)
        held += int((expected != 255).sum())
    assert held > 0

    code, printed = program(*EPOCH, '--override_dataset_root', coarse, '--class_uniform_pct', '1', '--only_coarse', '--custom_coarse_prob', '0.03',
                            '--custom_coarse_dir', written, '--custom_coarse_dropout_classes', '14,15,16', '--mask_out_cityscapes', '--snapshot', snapshot,
                            '--result_dir', tmp_path / 'again')
    assert code == 0, printed
    assert 'is drawn from the 5 images with customcoarse labels' in printed


def get_coarse(root, written, probability):
    with scope(DATASET__ROOT=str(root), DATASET__CITYSCAPES_CUSTOMCOARSE=str(written), DATASET__CUSTOM_COARSE_PROB=probability):
        return get_dataset('synthetic', 'train', quality='customcoarse')


def test_max_cu_epoch_0_trains_the_weights_of_fine_labels(program, coarse, tmp_path):
    finals = []
    for number, flags in enumerate(([], ['--coarse_boost_classes', '0,13', '--max_cu_epoch', '0'], ['--coarse_boost_classes', '0,13'])):
        code, printed = program(*EPOCH, '--class_uniform_pct', '1', '--class_uniform_tile', '16', '--override_dataset_root', coarse, *flags,
                                '--result_dir', tmp_path / str(number))
        assert code == 0, printed
        finals.append(last(tmp_path / str(number)))
    assert same(finals[0], finals[1])
    assert not same(finals[0], finals[2])


@pytest.mark.parametrize('flags, steps', [
    (['--coarse_boost_classes', '0,2,8,13', '--max_cu_epoch', '1', '--class_uniform_pct', '1', '--class_uniform_tile', '16'], 6),
    (['--quality', 'fine_coarse', '--coarse_portion', '0.5'], 7)])
def test_a_stopped_and_resumed_run_sees_the_same_coarse_images(program, coarse, tmp_path, monkeypatch, flags, steps):
    seen = []
    accumulate = Trainer._accumulate
    monkeypatch.setattr(Trainer, '_accumulate', lambda self, batch, *rest: (seen.append((self.position.epoch, *batch['name'])), accumulate(self, batch, *rest))[1])
    flags = [*TRAIN, '--lr_step', 'iter', '--override_dataset_root', coarse, *flags]
    code, printed = program(*flags, '--result_dir', tmp_path / 'whole')
    assert code == 0 and f'[epoch 1], [iter {steps} / {steps}]' in printed, printed
    whole, seen[:] = list(seen), []
    assert program(*flags, '--max_epoch', '1', '--result_dir', tmp_path / 'parts')[0] == 0
    half = last(tmp_path / 'parts')
    state = {**half, 'args': {**half['args'], 'max_epoch': 2}}          # the run as it would have been stopped after its first epoch
    assert state['args']['coarse_portion'] in (0.5, 1.0)
    if '--max_cu_epoch' in flags:
        coarse_in = [any('oxdorf' in name or 'pinnau' in name for step in whole if step[0] == epoch for name in step[1:]) for epoch in (0, 1)]
        assert coarse_in == [True, False]
    assert [step for step in whole if step[0] == 0] == seen
    seen.clear()
    assert program(*flags, '--resume', 'auto', '--result_dir', tmp_path / 'parts')[0] == 0
    assert [step for step in whole if step[0] == 1] == seen
