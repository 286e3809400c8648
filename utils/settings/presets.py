"""Presets of augmentation (--augment): the pipelines of the MIC-DKFZ framework by their names there, as flags.

A preset sets the flags of OFF, and some sizes of a data set, where they are not given; other sizes are the user's.
Names of the framework that promise what its files did not do (scale_crop flipped) do here what they promise.
"""

import argparse
import difflib
from typing import Any

# A pipeline that changes nothing: the images as they are.
OFF: dict[str, Any] = {
    'full_crop_training': True,
    'scale_min': 1.0,
    'scale_max': 1.0,
    'hflip': 0.0,
    'vflip': 0.0,
    'color_aug': 0.0,
    'color_share': 1.0,
    'rgb_shift': 0.0,
    'gblur': False,
    'bblur': False,
    'rand_augment': None,
    'rand_augment_ops': 'published',
    'pad_mode': 'constant',
    **dict.fromkeys(('brightness', 'contrast', 'saturation', 'hue')),
}
CROP = {'full_crop_training': False, 'pad_mode': 'reflect'}
SCALE_CROP = {**CROP, 'scale_min': 0.5, 'scale_max': 2.0}
GEOMETRY: dict[str, dict] = {'': {}, 'crop_': CROP, 'scale_crop_': SCALE_CROP}
FLIPS = {'hflip': {'hflip': 0.5}, 'flip': {'hflip': 0.25, 'vflip': 0.25}}
SHIFT = {'rgb_shift': 10.0, 'color_share': 0.5}
CONTEXT = {
    **SCALE_CROP,
    **SHIFT,
    **FLIPS['hflip'],
    'pad_mode': 'constant',
    'resize': (520,),
    'crop_size': (520, 520),
}


def _jitter(*amounts: float) -> dict[str, Any]:
    """Of half of the images: brightness, contrast, saturation, hue."""
    return {'color_share': 0.5, **dict(zip(('brightness', 'contrast', 'saturation', 'hue'), amounts))}


def _random(kind: str = '') -> dict[str, Any]:
    """RandAugment of 3 operations, as the framework's files have it; kind: '', '_light' or '_light_scale'."""
    return {'rand_augment': '3,5' if kind == '_light' else '3,3', 'rand_augment_ops': f'framework{kind}'}


def _presets() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        'norm': {},
        'norm_hflip': FLIPS['hflip'],
        'crop': CROP,
        'scale_crop': SCALE_CROP,
        'scale_crop_hflip': {**SCALE_CROP, **FLIPS['hflip']},
        'scale_crop_flip': {**SCALE_CROP, **FLIPS['flip']},
        'brightness_contrast_hflip': {**_jitter(0.2, 0.2, 0, 0), **FLIPS['hflip']},
        'brightness_contrast_flip': {**_jitter(0.4, 0.4, 0.1, 0), **FLIPS['flip']},
        'scale_crop_brightness_contrast_hflip': {**SCALE_CROP, **_jitter(0.2, 0.2, 0, 0), **FLIPS['hflip']},
        'scale_crop_brightness_contrast_flip': {**SCALE_CROP, **_jitter(0.4, 0.4, 0.1, 0.1), **FLIPS['flip']},
        'scale_crop_VOC2010': CONTEXT,
        'VOC2010_Context': {**CONTEXT, 'gblur': True},
        'Cityscapes': {**SCALE_CROP, **FLIPS['hflip'], 'crop_size': (512, 1024)},
        'Cityscapes_plus': {**SCALE_CROP, **SHIFT, 'gblur': True, **FLIPS['hflip'], 'crop_size': (512, 1024)},
        'resize': {},
        'resize_brightness_contrast_flip': {**_jitter(0.4, 0.4, 0.2, 0.2), **FLIPS['flip']},
    }
    found['only_norm'] = found['norm']
    kinds = {'randaugment': '', 'randaugment_light': '_light', 'randaugmentv2': '_light'}
    for name, kind in kinds.items():
        for place, geometry in GEOMETRY.items():
            for flip, flips in FLIPS.items():
                found[f'{name}_{place}{flip}'] = {**geometry, **_random(kind), **flips}
    found['randaugmentv3_flip'] = {**_random('_light_scale'), **FLIPS['flip']}
    for version in ('', 'v2', 'v3'):
        found[f'resize_randaugment{version}_flip'] = found[f'randaugment{version}_flip']
    return dict(sorted({name: {**OFF, **values} for name, values in found.items()}.items()))


PRESETS = _presets()


def preset(text: str) -> str:
    """The name of a preset; an error names those that are near."""
    if text not in PRESETS:
        near = difflib.get_close_matches(text, PRESETS, 2, 0.5)
        meant = f'did you mean {" or ".join(near)}?' if near else 'such a name is scale_crop_hflip'
        raise argparse.ArgumentTypeError(f'{text!r} is no preset; {meant} docs/training.md has all of them')
    return text


preset.__name__ = 'names'
