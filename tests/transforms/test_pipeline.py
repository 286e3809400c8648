from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from scripts.baseline_transforms import MEAN, STD, photo_like_pair, plain_sample
from transforms import build_train_transform, build_val_transform
from transforms.deferred import augment

FLAGS = {
    'crop_size': (48, 64),
    'scale_min': 0.5,
    'scale_max': 2.0,
    'pre_size': None,
    'full_crop_training': False,
    'translate_aug_fix': False,
    'resize': None,
    'pad_mode': 'constant',
    'pad_value': 0,
    'hflip': 0.5,
    'vflip': 0.0,
    'color_aug': 0.25,
    'brightness': None,
    'contrast': None,
    'saturation': None,
    'hue': None,
    'rgb_shift': 0.0,
    'color_share': 1.0,
    'gblur': False,
    'bblur': False,
    'rand_augment': None,
    'rand_augment_ops': 'published',
    'albumentations': None,
    'augment_on': 'loader',
    'crop_val': False,
}


def flags(**changes):
    return SimpleNamespace(**{**FLAGS, **changes})


def sample(seed=0, centroid=None, **changes):
    return build_train_transform(flags(**changes), 255)(
        *photo_like_pair(70, 100), np.random.default_rng(seed), centroid
    )


@pytest.mark.parametrize('seed', range(6))
def test_a_sample_equals_the_plain_form_of_the_same_seed(tmp_path, seed):
    image, label = photo_like_pair(90, 160)
    Image.fromarray(image).save(tmp_path / 'image.png')
    Image.fromarray(label).save(tmp_path / 'label.png')
    expected, expected_label = plain_sample(
        tmp_path / 'image.png', tmp_path / 'label.png', np.random.default_rng(seed), (80, 96)
    )
    transform = build_train_transform(flags(crop_size=(80, 96), gblur=True), 255)
    found, found_label, _ = transform(image, label, np.random.default_rng(seed))
    assert (found_label == expected_label).all()
    grey_levels = 255 * (expected.transpose(1, 2, 0) * STD + MEAN)
    assert np.abs(found - grey_levels).mean() < 1


@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'gblur': True},
        {'bblur': True},
        {'rand_augment': '3,15'},
        {'translate_aug_fix': True},
        {'full_crop_training': True},
        {'pre_size': 80},
    ],
)
def test_one_generator_state_gives_one_sample_bit_for_bit(changes):
    for seed in range(4):
        (image, label, scale), (again, again_label, again_scale) = (sample(seed, (30, 40), **changes) for _ in range(2))
        assert (image == again).all() and (label == again_label).all() and scale == again_scale
        size = (70, 100) if 'full_crop_training' in changes else (48, 64)
        assert image.shape == (*size, 3) and label.shape == size and image.dtype == label.dtype == np.uint8
        assert image.flags.c_contiguous and label.flags.c_contiguous and isinstance(scale, float)


def test_nothing_but_the_given_generator_decides():
    np.random.seed(0)  # noqa: NPY002
    first = sample(1, gblur=True, rand_augment='2,10')
    np.random.seed(1)  # noqa: NPY002
    cv2.setRNGSeed(7)
    assert (first[0] == sample(1, gblur=True, rand_augment='2,10')[0]).all()


def test_the_input_is_not_written():
    image, label = photo_like_pair(70, 100)
    before = image.copy(), label.copy()
    image.flags.writeable = label.flags.writeable = False
    for seed in range(8):
        for changes in ({}, {'bblur': True}, {'rand_augment': '4,20'}, {'scale_min': 1.0, 'scale_max': 1.0}):
            build_train_transform(flags(**changes), 255)(image, label, np.random.default_rng(seed))
            assert (image == before[0]).all() and (label == before[1]).all()


def test_without_colour_flags_the_image_is_only_moved():
    image, label, scale = sample(0, scale_min=1.0, scale_max=1.0, color_aug=0)
    whole, whole_label = photo_like_pair(70, 100)
    windows = [
        (whole[y : y + 48, x : x + 64], whole_label[y : y + 48, x : x + 64]) for y in range(23) for x in range(37)
    ]
    assert scale == 1.0
    assert any(
        (image == i).all() and (label == m).all() or (image == i[:, ::-1]).all() and (label == m[:, ::-1]).all()
        for i, m in windows
    )


def test_the_ignore_label_of_the_dataset_fills_what_is_outside():
    transform = build_train_transform(flags(crop_size=(300, 300), rand_augment='3,25'), 65)
    _, label, _ = transform(*photo_like_pair(70, 100), np.random.default_rng(0))
    assert (label == 65).mean() > 0.5 and 255 not in label


def test_bilateral_blur_wins_over_gaussian_blur():
    assert (sample(3, bblur=True, gblur=True)[0] == sample(3, bblur=True)[0]).all()


def test_the_crop_check_reaches_the_flags():
    with pytest.raises(ValueError, match='--crop_size'):
        build_train_transform(flags(crop_size=(400, 400)), 255).check_crop([(70, 100)])
    build_train_transform(flags(crop_size=(400, 400), full_crop_training=True), 255).check_crop([(70, 100)])


@pytest.mark.parametrize(
    'changes, flag',
    [
        ({'scale_min': -0.5}, '--scale_min'),
        ({'scale_min': 0.0}, '--scale_min'),
        ({'scale_max': float('inf')}, '--scale_max'),
        ({'scale_min': 2.0, 'scale_max': 0.5}, '--scale_min 2.0 is larger than --scale_max 0.5'),
        ({'pre_size': 0}, '--pre_size'),
        ({'crop_size': (0, 5)}, '--crop_size 0,5'),
        ({'color_aug': -0.1}, '--color_aug'),
        ({'rand_augment': '2;10'}, '--rand_augment'),
    ],
)
def test_a_bad_value_names_its_flag(changes, flag):
    with pytest.raises(ValueError, match=flag):
        build_train_transform(flags(**changes), 255)


# ---- validation


def test_validation_changes_nothing_by_default():
    image, label = photo_like_pair(70, 100)
    found, found_label, scale = build_val_transform(flags(), 255)(image, label)
    assert found is image and found_label is label and scale == 1.0


def test_validation_scales_the_long_edge_with_and_without_a_label():
    image, label = photo_like_pair(70, 100)
    found, found_label, scale = build_val_transform(flags(pre_size=50), 255)(image, label)
    assert found.shape == (35, 50, 3) and found_label.shape == (35, 50) and scale == 0.5
    assert build_val_transform(flags(pre_size=50), 255)(image)[1] is None


def test_crop_val_makes_a_square():
    image, label = photo_like_pair(70, 100)
    found, found_label, scale = build_val_transform(flags(pre_size=35, crop_val=True), 255)(image, label)
    assert found.shape == (35, 35, 3) and found_label.shape == (35, 35) and scale == 0.5
    found, found_label, _ = build_val_transform(flags(pre_size=100, crop_val=True), 65)(image[:, :30], label[:, :30])
    assert found.shape == (100, 100, 3) and (found_label == 65).sum() == 100 * (100 - 42)


def test_crop_val_without_a_size_is_refused():
    with pytest.raises(ValueError, match='--crop_val .*--pre_size'):
        build_val_transform(flags(crop_val=True), 255)


def test_work_that_is_left_to_the_device_leaves_the_crop_and_its_numbers():
    plain, label, scale = sample(3, color_aug=0, gblur=False, rand_augment='2,9')
    left = sample(3, gblur=True, rand_augment='2,9', augment_on='device')
    assert (left[0] == plain).all() and (left[1] == label).all() and left[2] == scale
    loader = sample(3, gblur=True, rand_augment='2,9')[0]
    done = augment(torch.from_numpy(left[0]).permute(2, 0, 1)[None], left[3][None])[0].permute(1, 2, 0).numpy()
    assert np.abs(done - loader.astype(float)).max() <= 8


def test_nothing_is_left_to_the_device_when_there_is_nothing_to_do():
    assert len(sample(3, color_aug=0, augment_on='device')) == 3


def test_the_bilateral_blur_is_not_left_to_the_device():
    with pytest.raises(ValueError, match='--bblur .* --augment_on loader'):
        sample(bblur=True, augment_on='device')
