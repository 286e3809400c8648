"""Runs on a ViT: two images learnt by heart under every decoder, windows, predictions, fusion with another network."""

import re
import shutil

import cv2
import numpy as np
import pytest
from small import EPOCH, SMALL, run

import ensemble
import predict

pytest.importorskip('timm')

VIT = ['--trunk', 'timm/test_vit', '--decoder_ch', '16', '--segattn_bot_ch', '16']
HEART = """--crop_size 64,128 --scale_min 1 --scale_max 1 --color_aug 0 --class_uniform_pct 0 --bs_trn 2 --max_epoch 10
--val_freq 10 --optimizer adamw --lr 5e-3 --lr_step iter --log_freq 1""".split()
DECODERS = [
    'basic.FPN',
    'basic.UPerNet',
    'basic.SegFormer',
    'basic.DPT',
    'basic.Upscale',
    'mscale.Linear',
    'ocrnet.Mscale',
]
OCR = ['--ocr_mid_channels', '32', '--ocr_key_channels', '16']


@pytest.fixture(scope='module')
def two_images(street, tmp_path_factory):
    """A copy of the data set in which every image and label is one of two, in training and validation."""
    root = tmp_path_factory.mktemp('two')
    shutil.copytree(street, root, dirs_exist_ok=True)
    for pattern in ('*_leftImg8bit.png', '*_gtFine_labelIds.png'):
        pair = sorted((street / 'synthetic').rglob(f'train/*/{pattern}'))[:2]
        for number, file in enumerate(sorted((root / 'synthetic').rglob(pattern))):
            shutil.copy(pair[number % 2], file)
    return root


@pytest.mark.slow
@pytest.mark.parametrize('arch', DECODERS)
def test_two_images_are_learnt_by_heart_then_tested_by_windows_and_predicted(arch, two_images, tmp_path, capsys):
    heads = [*VIT, *(OCR if arch.startswith('ocrnet') else [])]
    assert run(two_images, tmp_path, ['--arch', arch, *heads, *HEART], small=False) == 0
    losses = [float(loss) for loss in re.findall(r'train main loss ([\d.]+)', capsys.readouterr().out)]
    assert losses[-1] < 0.6 * losses[0]
    windows = ['--eval', 'val', '--snapshot', tmp_path / 'run', '--crop_eval', '48,64', '--crop_overlap', '0.5']
    shutil.copytree(tmp_path / 'run', tmp_path / 'again' / 'run')
    assert run(two_images, tmp_path / 'again', windows, small=False) == 0
    photo = next((two_images / 'synthetic').rglob('*_leftImg8bit.png'))
    flags = [photo, '--weights', tmp_path / 'run', '--out', tmp_path / 'out', '--write', 'labels']
    assert predict.main([str(flag) for flag in flags]) == 0
    labels = cv2.imread(str(next((tmp_path / 'out').rglob('*.png'))), cv2.IMREAD_UNCHANGED)
    assert labels.shape[:2] == (64, 128) and len(np.unique(labels)) > 1


def test_crops_that_are_no_multiple_of_the_patch_are_filled_up_and_it_is_said(program):
    code, printed = program('--arch', 'basic.SegFormer', *VIT, *EPOCH, '--crop_size', '40,64', '--dry_run', small=False)
    assert code == 0
    assert '--crop_size 40,64: timm/test_vit takes multiples of 16, so crops are filled up to 48x64 pixels' in printed
    assert 'filled up' not in program('--arch', 'basic.SegFormer', *VIT, *EPOCH, '--dry_run', small=False)[1]


@pytest.mark.slow
def test_hmsa_and_a_vit_are_one_ensemble(street, snapshot, tmp_path):
    """Both trained here for an epoch; the fused labels are those of the mean of their probabilities."""
    assert run(street, tmp_path, ['--arch', 'mscale.UPerNet', *VIT, *EPOCH], small=False) == 0
    pair = [str(snapshot), str(next((tmp_path / 'run').glob('last*.pth')))]
    data = ['--dataset', 'synthetic', '--override_dataset_root', str(street), '--num_workers', '0']
    assert ensemble.main(['run', *pair, *data, '--out', str(tmp_path / 'fused')]) == 0
    stored = []
    for number, (path, small) in enumerate(zip(pair, (SMALL, []))):
        folder = tmp_path / f'eval{number}'
        flags = ['--eval', 'val', '--snapshot', path, '--dump_logits', *small]
        assert run(street, folder, flags, small=False) == 0
        stored.append(str(folder / 'run' / 'logits'))
    assert ensemble.main(['fuse', *stored, '--out', str(tmp_path / 'stored')]) == 0
    fused = sorted((tmp_path / 'fused').rglob('*_pred.png'))
    assert len(fused) == 5
    for file in fused:
        other = next((tmp_path / 'stored').rglob(file.name))
        same = cv2.imread(str(file), cv2.IMREAD_UNCHANGED) == cv2.imread(str(other), cv2.IMREAD_UNCHANGED)
        assert same.mean() > 0.99  # stored logits are rounded
