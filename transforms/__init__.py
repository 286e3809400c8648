"""Joint transforms of image and label, built from the program's flags.

    transform = build_train_transform(args, ignore_label)
    image, label, scale = transform(image, label, rng, centroid)
    image, label, scale = build_val_transform(args, ignore_label)(image, label)

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W); `Normalize` makes floats of a batch on the device.
"""

import math

from transforms.albumentations_file import AlbumentationsPipeline
from transforms.geometry import Padding, RandomFlip, RandomSizeAndCrop
from transforms.mixing import Mixing
from transforms.normalize import Normalize
from transforms.photometric import (
    ColorJitter,
    LightJitter,
    RandomBilateralBlur,
    RandomGaussianBlur,
    RGBShift,
    Sometimes,
)
from transforms.pipeline import TrainTransform, ValTransform
from transforms.randaugment import RandAugment, parse_rand_augment
from transforms.randaugment_framework import FrameworkRandAugment

__all__ = [
    'Normalize',
    'TrainTransform',
    'ValTransform',
    'build_mixing',
    'build_train_transform',
    'build_val_transform',
]


def build_train_transform(args, ignore_label: int) -> TrainTransform:
    """The transform of training samples from the flags of augmentation; bblur wins over gblur, resize over pre_size.

    Raises ValueError that names the flag that is wrong.
    """
    _check_scales(args.scale_min, args.scale_max)
    _check_pre_size(args.pre_size)
    if not (math.isfinite(args.color_aug) and args.color_aug >= 0):
        raise ValueError(
            f'--color_aug {args.color_aug} is not an amount of change; use 0 (off) or above, the published value is'
            ' 0.25'
        )
    if args.bblur and args.augment_on == 'device':
        raise ValueError(
            '--bblur is computed by the loaders only and --augment_on is device; use --gblur, or --augment_on loader'
        )
    channels = getattr(args, 'in_channels', 3)  # callers from Python may have RGB alone in mind
    _check_channels(args, channels)
    crop_size = None if args.full_crop_training else _check_crop_size(args.crop_size)
    size_and_crop = RandomSizeAndCrop(
        crop_size,
        args.scale_min,
        args.scale_max,
        ignore_label,
        None if args.resize else args.pre_size,
        args.translate_aug_fix,
        args.resize,
        Padding(ignore_label, args.pad_value, args.pad_mode == 'reflect'),
    )
    parts = (args.brightness, args.contrast, args.saturation, args.hue)
    amounts = [args.color_aug if amount is None else amount for amount in parts]
    steps = (
        (ColorJitter(*amounts) if channels == 3 else LightJitter(*amounts[:2])) if any(amounts) else None,
        RGBShift(args.rgb_shift) if args.rgb_shift else None,
        RandomBilateralBlur() if args.bblur else RandomGaussianBlur() if args.gblur else None,
    )
    jitter, shift, blur = (step and Sometimes(step, args.color_share) for step in steps)
    flip, defer = RandomFlip(args.hflip, args.vflip), args.augment_on == 'device'
    joint: list = [_rand_augment(args, ignore_label)] if args.rand_augment else []
    if args.albumentations:
        joint.append(AlbumentationsPipeline(args.albumentations, ignore_label, crop_size))
    return TrainTransform(size_and_crop, flip, joint, jitter, shift, blur, defer)


def _rand_augment(args, ignore_label: int):
    count, magnitude = parse_rand_augment(args.rand_augment)
    if args.rand_augment_ops == 'published':
        return RandAugment(count, magnitude, ignore_label)
    return FrameworkRandAugment(count, magnitude, args.rand_augment_ops)


def build_mixing(args, num_classes: int, ignore_label: int) -> Mixing | None:
    """What samples are mixed with, None without a flag of it; ValueError names the flag that is wrong."""
    shares = {'mosaic': args.mosaic, 'class_mix': args.class_mix, 'copy_paste': args.copy_paste}
    asked = [f'--{name}' for name, share in shares.items() if share]
    if not asked:
        return None
    if args.full_crop_training:
        raise ValueError(
            f'{asked[0]} mixes crops of one size, --full_crop_training makes others; leave one of them out'
        )
    beyond = [trainid for trainid in args.paste_classes if trainid >= num_classes]
    if beyond:
        raise ValueError(f'--paste_classes {beyond[0]}: there is no such class, only 0 to {num_classes - 1}')
    off = -1 if args.augment_off_epoch is None else args.augment_off_epoch
    return Mixing(**shares, paste_classes=args.paste_classes, off_epoch=off, ignore_label=ignore_label)


def build_val_transform(args, ignore_label: int) -> ValTransform:
    """The transform of validation samples from pre_size and crop_val; ValueError names the flag that is wrong."""
    _check_pre_size(args.pre_size)
    if args.crop_val and args.pre_size is None:
        raise ValueError(
            '--crop_val needs a side length and --pre_size is not given; add --pre_size PIXELS or drop --crop_val'
        )
    return ValTransform(ignore_label, args.pre_size, args.crop_val)


def _check_channels(args, channels):
    of_colours = {'--rand_augment': args.rand_augment, '--bblur': args.bblur}
    of_colours |= {'--rgb_shift': args.rgb_shift, '--albumentations': args.albumentations}
    of_colours['--augment_on device'] = args.augment_on == 'device'
    for flag, is_on in of_colours.items():
        if is_on and channels != 3:
            preset = '' if flag[2:].split()[0] in args.given or not args.augment else f' (of --augment {args.augment})'
            remedy = 'choose another preset' if preset else 'leave it out'
            raise ValueError(f'{flag}{preset}: is for RGB images, these have {channels} channels; {remedy}')


def _check_scales(scale_min: float, scale_max: float):
    if not (math.isfinite(scale_min) and scale_min > 0):
        raise ValueError(f'--scale_min {scale_min} is not a scale; use a number above 0, the published value is 0.5')
    if not (math.isfinite(scale_max) and scale_max > 0):
        raise ValueError(f'--scale_max {scale_max} is not a scale; use a number above 0, the published value is 2.0')
    if scale_min > scale_max:
        raise ValueError(
            f'--scale_min {scale_min} is larger than --scale_max {scale_max}; swap the two or make them equal'
        )


def _check_pre_size(pre_size: int | None):
    if pre_size is not None and pre_size < 1:
        raise ValueError(f'--pre_size {pre_size} is not a length in pixels; use 1 or more, or leave the flag out')


def _check_crop_size(crop_size) -> tuple[int, int]:
    if len(crop_size) != 2 or min(crop_size) < 1:
        raise ValueError(
            f'--crop_size {",".join(map(str, crop_size))} is not a size in pixels; use one side or HEIGHT,WIDTH, each 1'
            ' or more'
        )
    return crop_size[0], crop_size[1]
