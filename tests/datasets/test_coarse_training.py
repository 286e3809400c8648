"""Coarse and automatic labels through the program: flags, the round trip of automatic labels, resuming."""

import shutil

import cv2
import numpy as np
import pytest
import torch
from small import TRAIN, stop_after

import train
from config import scope
from datasets import get_dataset
from utils import checkpoint
from utils.cli import flags
from utils.settings import SETTINGS

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
        for source, target in (
            (image, f'leftImg8bit_trainextra/leftImg8bit/train_extra/{city}/{name}_leftImg8bit.png'),
            (label, f'gtCoarse/gtCoarse/train_extra/{city}/{name}_gtCoarse_labelIds.png'),
        ):
            (base / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, base / target)
    return root


def last(folder):
    return checkpoint.load(next(folder.glob('last_checkpoint_ep*.pth')))


def same(left, right):
    return all(torch.equal(left['state_dict'][key], right['state_dict'][key]) for key in left['state_dict'])


def test_what_auto_labelling_writes_is_what_training_reads(program, coarse, tmp_path):
    written = tmp_path / 'written'
    code, printed = program(
        '--eval',
        'folder',
        '--eval_folder',
        coarse / 'synthetic/leftImg8bit_trainextra/leftImg8bit',
        '--random_weights',
        '--dump_for_auto_labelling',
        '--result_dir',
        written,
    )
    assert code == 0, printed

    paths = sorted((written / 'train_extra').rglob('*_prob.png'))
    probabilities = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    threshold = float(np.median(probabilities)) / 255
    probabilities[0][:32] = 0  # of random weights it is about 1 / 19 everywhere
    cv2.imwrite(str(paths[0]), probabilities[0])
    with scope(
        DATASET__ROOT=str(coarse), DATASET__CITYSCAPES_CUSTOMCOARSE=str(written), DATASET__CUSTOM_COARSE_PROB=threshold
    ):
        dataset = get_dataset('synthetic', 'train', quality='customcoarse')
    assert [item.label for item in dataset.items] == [written / item.name for item in dataset.items] and len(
        dataset
    ) == 5
    for item, probability in zip(dataset.items, probabilities):
        ids = cv2.imread(str(item.label), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(
            dataset.load(item)[1], np.where(probability / 255 >= threshold, dataset.classes.id_to_trainid[ids], 255)
        )
    assert 0.4 < np.mean([dataset.load_label(item) != 255 for item in dataset.items]) < 1

    code, printed = program(
        *EPOCH,
        '--override_dataset_root',
        coarse,
        '--only_coarse',
        '--custom_coarse_prob',
        threshold,
        '--custom_coarse_dir',
        written,
        '--custom_coarse_dropout_classes',
        '14,15,16',
        '--mask_out_cityscapes',
    )
    assert code == 0, printed
    assert (
        'is drawn from the 5 images with customcoarse labels' in printed
        and 'an epoch of 12 images is too short to draw each of 19 classes (--class_uniform_pct 0.5 makes 6 draws)'
        in printed
    )


BOOST = [
    '--coarse_boost_classes',
    '0,2,8,13',
    '--max_cu_epoch',
    '1',
    '--class_uniform_pct',
    '1',
    '--class_uniform_tile',
    '16',
]
MIXED = ['--quality', 'fine_coarse', '--coarse_portion', '0.5']


@pytest.mark.slow
@pytest.mark.parametrize('flags, steps', [(BOOST, 4), (MIXED, 5)])
def test_a_stopped_and_resumed_run_ends_in_the_same_weights(program, coarse, tmp_path, flags, steps):
    twice(coarse)
    flags = [*TRAIN, '--bs_trn', '5', '--lr_step', 'iter', '--override_dataset_root', coarse, *flags]
    code, printed = program(*flags, '--result_dir', tmp_path / 'whole')
    assert code == 0 and printed.count(f'[epoch 1], [iter {steps} / {steps}]') == 1, printed
    stop_after(steps + 2)
    code, printed = program(*flags, '--result_dir', tmp_path / 'parts')
    assert code == 75 and 'SIGTERM received' in printed
    if '--coarse_portion' in flags:
        code, printed = program(*flags, '--coarse_portion', '1', '--resume', 'auto', '--result_dir', tmp_path / 'parts')
        assert code == 2 and '--coarse_portion 1.0 (was 0.5)' in printed, 'an epoch of another length'
    code, printed = program(*flags, '--resume', 'auto', '--result_dir', tmp_path / 'parts')
    assert code == 0 and 'continuing at epoch 1, batch 2' in printed, printed
    assert same(last(tmp_path / 'whole'), last(tmp_path / 'parts'))


@pytest.mark.slow
def test_max_cu_epoch_0_trains_the_weights_of_fine_labels(program, coarse, tmp_path):
    twice(coarse)
    finals = []
    for number, more in enumerate(
        ([], ['--coarse_boost_classes', '0,13', '--max_cu_epoch', '0'], ['--coarse_boost_classes', '0,13'])
    ):
        code, printed = program(
            *EPOCH,
            '--bs_trn',
            '5',
            *BOOST[4:],
            '--override_dataset_root',
            coarse,
            *more,
            '--result_dir',
            tmp_path / str(number),
        )
        assert code == 0, printed
        finals.append(last(tmp_path / str(number)))
    assert same(finals[0], finals[1])
    assert not same(finals[0], finals[2])


def twice(root):
    """Copy every fine training image to another city: 24 of them are one class-uniform draw for each of 19 classes."""
    for path in [
        *(root / 'synthetic/leftImg8bit/train').rglob('*.png'),
        *(root / 'synthetic/gtFine/train').rglob('*.png'),
    ]:
        copy = path.parent.with_name(f'neu{path.parent.name}') / path.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)


@pytest.mark.parametrize(
    'flags, complaint',
    [
        (
            ['--coarse_boost_classes', '3', '--quality', 'coarse'],
            '--coarse_boost_classes and --quality coarse are two ways .* give one',
        ),
        (
            ['--only_coarse', '--class_uniform_pct', '0'],
            '--only_coarse adds to the class-uniform part .*--class_uniform_pct 0 turns off; .*--quality fine_coarse',
        ),
        (['--coarse_portion', '0.5'], '--coarse_portion 0.5 .* --quality fine_coarse; add it'),
        (
            ['--custom_coarse_prob', '0'],
            '--custom_coarse_prob 0.0 .* add --coarse_boost_classes, --only_coarse, or --quality coarse or fine_coarse',
        ),
        (['--only_coarse', '--mask_out_cityscapes'], '--mask_out_cityscapes .* add --custom_coarse_prob'),
        (
            ['--only_coarse', '--custom_coarse_dropout_classes', '14'],
            '--custom_coarse_dropout_classes .* add --custom_coarse_prob',
        ),
        (['--only_coarse', '--custom_coarse_dir', 'a'], '--custom_coarse_dir .* add --custom_coarse_prob'),
        (['--coarse_boost_classes', '-1'], '--coarse_boost_classes'),
        (['--quality', 'course'], '--quality'),
        (['--coarse_portion', '2'], '--coarse_portion: 2 is out of range'),
    ],
)
def test_flags_that_contradict_each_other_are_told(flags, complaint):
    with pytest.raises(ValueError, match=complaint):
        train.parse_args(flags)


def test_the_published_flags_are_accepted_and_reach_the_settings():
    args = train.parse_args(
        [
            '--coarse_boost_classes',
            '3,4',
            '--custom_coarse_dropout_classes',
            '14,15,16',
            '--mask_out_cityscapes',
            '--custom_coarse_prob',
            '0.5',
            '--max_cu_epoch',
            '120',
            '--custom_coarse_dir',
            'x',
        ]
    )
    with scope(**SETTINGS.as_cfg(vars(args))) as cfg:
        found = cfg.DATASET
        assert (found.COARSE_BOOST_CLASSES, found.CUSTOM_COARSE_DROPOUT_CLASSES, found.CUSTOM_COARSE_PROB) == (
            (3, 4),
            (14, 15, 16),
            0.5,
        )
        assert (found.MASK_OUT_CITYSCAPES, found.MAX_CU_EPOCH, found.CITYSCAPES_CUSTOMCOARSE) == (True, 120, 'x')
        assert (found.ONLY_COARSE, found.QUALITY, found.COARSE_PORTION) == (False, 'fine', 1.0)


def test_what_has_no_effect_is_said():
    assert '--max_cu_epoch has no effect without --coarse_boost_classes or --only_coarse' in flags.unread(
        train.parse_args(['--max_cu_epoch', '9'])
    )
    assert '--quality: no effect with --eval' in flags.unread(
        train.parse_args(['--quality', 'coarse', '--eval', 'val', '--random_weights'])
    )
    assert flags.unread(train.parse_args(['--only_coarse', '--max_cu_epoch', '9'])) == []


@pytest.mark.parametrize(
    'more, parts',
    [
        (['--coarse_boost_classes', '3'], ['leftImg8bit_trainextra', 'unpack them there']),
        (['--quality', 'coarse', '--dataset', 'camvid'], ["no 'coarse' labels"]),
    ],
)
def test_data_without_coarse_labels_is_told_in_one_line(program, street, camvid_tree, tmp_path, more, parts):
    camvid_tree(tmp_path / 'camvid', count=4)
    code, printed = program(*EPOCH, *(['--override_dataset_root', tmp_path] if 'camvid' in more else []), *more)
    assert code == 2 and all(part in printed for part in parts) and 'Traceback' not in printed, printed
