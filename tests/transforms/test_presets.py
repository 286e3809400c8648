"""Presets of augmentation: what the framework's names stand for, and that given flags and records win."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small import EPOCH, ROOT

import train
from scripts.baseline_transforms import photo_like_pair
from transforms import build_train_transform
from utils import checkpoint
from utils.cli.presets import of_preset, with_preset
from utils.settings.presets import PRESETS

# As the framework lists them; its pipelines without normalisation, and those that lack entries there, are not here.
NAMES = """only_norm norm norm_hflip crop scale_crop scale_crop_hflip scale_crop_flip scale_crop_VOC2010 resize
Cityscapes VOC2010_Context Cityscapes_plus brightness_contrast_hflip brightness_contrast_flip
scale_crop_brightness_contrast_hflip
scale_crop_brightness_contrast_flip resize_brightness_contrast_flip randaugment_hflip randaugment_flip
randaugment_crop_hflip randaugment_crop_flip randaugment_scale_crop_hflip randaugment_scale_crop_flip
randaugment_light_hflip randaugment_light_flip randaugmentv2_hflip randaugmentv2_flip randaugmentv2_crop_hflip
randaugmentv2_crop_flip randaugmentv2_scale_crop_hflip randaugmentv2_scale_crop_flip randaugmentv3_flip
resize_randaugment_flip resize_randaugmentv2_flip resize_randaugmentv3_flip""".split()


def parsed(*flags):
    return train.parse_args([*flags, '--dataset', 'synthetic'])


def test_every_name_of_the_framework_is_there():
    assert set(NAMES) <= set(PRESETS)


def test_the_page_on_training_names_every_preset():
    page = (ROOT / 'docs' / 'training.md').read_text('utf-8')
    names = set(re.findall(r'`(\w+)`', page[page.index('### Presets') : page.index('### Pipelines')]))
    ends = [name.removeprefix('randaugment') for name in names if name.startswith('randaugment_')]
    names |= {f'{kind}{end}' for kind in ('randaugment_light', 'randaugmentv2') for end in ends}
    assert set(PRESETS) - names == set()


@pytest.mark.parametrize('name', PRESETS)
def test_every_preset_makes_samples_of_image_and_label_from_the_generator_alone(name):
    args = parsed('--augment', name, '--resize', '50,80', '--crop_size', '40,60')
    transform = build_train_transform(args, 255)
    image, label = photo_like_pair(50, 80)
    samples = [transform(image, label, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3)]
    assert (samples[0][0] == samples[1][0]).all() and (samples[0][1] == samples[1][1]).all()
    size = (50, 80) if PRESETS[name]['full_crop_training'] else (40, 60)
    for found, found_label, _ in samples:
        assert found.shape == (*size, 3) and found_label.shape == size and found.dtype == np.uint8
    if name in ('norm', 'only_norm'):
        assert (samples[4][0] == image).all() and (samples[4][1] == label).all()
    else:
        assert len({sample[0].tobytes() for sample in samples}) > (1 if name != 'resize' else 0)


@pytest.mark.parametrize(
    'name, flags',
    [
        ('scale_crop_flip', {'scale_min': 0.5, 'scale_max': 2.0, 'hflip': 0.25, 'vflip': 0.25, 'color_aug': 0}),
        ('brightness_contrast_flip', {'brightness': 0.4, 'contrast': 0.4, 'saturation': 0.1, 'hue': 0, 'scale_max': 1}),
        ('scale_crop_VOC2010', {'resize': (520,), 'crop_size': (520, 520), 'rgb_shift': 10, 'color_share': 0.5}),
        ('randaugment_light_hflip', {'rand_augment': '3,5', 'rand_augment_ops': 'framework_light', 'hflip': 0.5}),
        ('Cityscapes', {'crop_size': (512, 1024), 'hflip': 0.5, 'vflip': 0, 'rand_augment': None}),
    ],
)
def test_a_preset_is_these_flags(name, flags):
    args = parsed('--augment', name)
    assert {flag: getattr(args, flag) for flag in flags} == flags


def test_given_flags_win_over_the_preset_and_what_a_record_says_stays():
    args = parsed('--augment', 'Cityscapes', '--crop_size', '96,128', '--color_aug', '0.25')
    assert args.crop_size == (96, 128) and args.color_aug == 0.25 and args.scale_min == 0.5
    taken_over = SimpleNamespace(augment='Cityscapes', given=[], color_aug=0.25)
    assert of_preset(taken_over) == {} and with_preset(taken_over) is taken_over


def test_a_preset_that_resizes_needs_a_size(capsys):
    assert train.main(['--augment', 'resize_randaugment_flip']) == 2
    assert '--augment resize_randaugment_flip needs --resize H,W' in capsys.readouterr().err


def test_a_name_that_there_is_not_is_refused(capsys):
    assert train.main(['--augment', 'scale_crop_hflp']) == 2
    assert "'scale_crop_hflp' is no preset; did you mean scale_crop_hflip" in capsys.readouterr().err


def test_a_run_with_a_preset_says_its_flags_and_its_record_stands_for_the_same_bits(program, tmp_path):
    flags = [*EPOCH, '--augment', 'scale_crop_brightness_contrast_flip', '--color_aug', '0.25', '--saturation', '0.3']
    flags += ['--pad_mode', 'constant', '--pad_value', '124', '--rgb_shift', '20', '--epoch_batches', '2']
    code, printed = program(*flags)
    assert code == 0 and '--augment scale_crop_brightness_contrast_flip: ' in printed, printed
    assert '--brightness 0.4 --contrast 0.4' in printed and '--hflip 0.25 --vflip 0.25' in printed
    resumed = vars(train.parse_args(['--resume', str(program.run_dir), '--max_epoch', '2']))
    expected = {'augment': flags[flags.index('--augment') + 1], 'brightness': 0.4, 'color_aug': 0.25, 'saturation': 0.3}
    assert {name: resumed[name] for name in expected} == expected and resumed['pad_mode'] == 'constant'
    record, again = program.run_dir / 'hparams.json', tmp_path / 'again'
    assert program('--config', record, '--result_dir', again, small=False)[0] == 0
    weights = [checkpoint.load(folder / 'last_checkpoint_ep0.pth')['state_dict'] for folder in (program.run_dir, again)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
