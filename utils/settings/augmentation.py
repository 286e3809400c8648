"""Settings of what is done to a training image."""

from utils.settings.presets import preset
from utils.settings.setting import NUMBERS, TEST, TRAINING, VALUES, Setting, choice, group, switch
from utils.settings.value_types import amount, count, crop_size, grey_level, numbers, positive, scale, share

SETTINGS = group(
    'augmentation',
    Setting(
        'augment',
        preset,
        None,
        'PRESET',
        'a pipeline of the MIC-DKFZ framework by its name, as in scale_crop_hflip: sets the flags of augmentation that'
        ' are not given (docs/training.md has the names)',
    ),
    Setting(
        'crop_size',
        crop_size,
        (896, 896),
        'S|H,W',
        'training crop in pixels',
        cfg='DATASET.CROP_SIZE',
        idle_beside=('full_crop_training',),
    ),
    Setting('scale_min', scale, 0.5, 'S', 'smallest random scale'),
    Setting('scale_max', scale, 2.0, 'S', 'largest random scale'),
    Setting(
        'pre_size',
        positive,
        None,
        'PIXELS',
        'resize the long edge to this before any scale (default: as it is)',
        decides=(NUMBERS, VALUES, TEST),
        read_by='',
    ),
    Setting(
        'resize',
        numbers(int, count=(1, 2), minimum=1),
        None,
        'S|H,W',
        'resize training images before any scale, in place of --pre_size: the short edge, or height and width'
        ' (default: as they are)',
    ),
    switch('full_crop_training', 'crop to the size of each original image'),
    switch('translate_aug_fix', 'paste images that are smaller than the crop at a random place'),
    choice('pad_mode', ('constant', 'reflect'), 'constant', 'what surrounds an image that is smaller than the crop'),
    Setting(
        'pad_value',
        grey_level,
        0,
        'LEVEL',
        'grey level of that padding, whose label is ignored; reflect mirrors the image and its label',
        idle_beside=('pad_mode=reflect',),
    ),
    Setting('hflip', share, 0.5, 'P', 'share of the samples that are mirrored left to right'),
    Setting('vflip', share, 0.0, 'P', 'share of the samples that are mirrored top to bottom'),
    Setting('color_aug', amount, 0.25, 'A', 'strength of brightness, contrast, saturation and hue jitter'),
    *(
        Setting(name, amount, None, 'A', f'strength of the jitter of {name} alone (default: that of --color_aug)')
        for name in ('brightness', 'contrast', 'saturation', 'hue')
    ),
    Setting('rgb_shift', grey_level, 0.0, 'LEVELS', 'largest number of grey levels added to red, green and blue each'),
    Setting('color_share', share, 1.0, 'P', 'share of the samples that jitter, RGB shift and blur each change'),
    switch('gblur', 'Gaussian blur of every training image, sigma 0.15 to 1.3 pixels', idle_beside=('bblur',)),
    switch('bblur', 'bilateral blur of every training image, instead of --gblur'),
    Setting('rand_augment', str, None, 'N,M', 'RandAugment: N operations of magnitude M in [0, 30]'),
    choice(
        'rand_augment_ops',
        ('published', 'framework', 'framework_light', 'framework_light_scale'),
        'published',
        'operations of --rand_augment; those of the MIC-DKFZ framework have M in [0, 9]',
        idle_without=('rand_augment',),
    ),
    Setting(
        'albumentations',
        str,
        None,
        'FILE',
        'a pipeline of albumentations in its own JSON or YAML, applied after the flips and RandAugment',
    ),
    Setting('mosaic', share, 0.0, 'P', 'share of the samples that four crops share'),
    Setting(
        'class_mix', share, 0.0, 'P', 'share of the samples on which half of the classes of another one are pasted'
    ),
    Setting(
        'copy_paste',
        share,
        0.0,
        'P',
        'share of the samples on which --paste_classes of another one are pasted',
        needs=('paste_classes',),
    ),
    Setting(
        'paste_classes',
        numbers(int, minimum=0),
        (),
        'TRAINIDS',
        'rare classes for --copy_paste, for instance 2,6,9,10',
        idle_without=('copy_paste',),
    ),
    Setting(
        'augment_off_epoch',
        count,
        None,
        'E',
        'first epoch without --mosaic, --class_mix and --copy_paste (default: none)',
        idle_without=('mosaic', 'class_mix', 'copy_paste'),
    ),
    choice(
        'augment_on',
        ('loader', 'device'),
        'loader',
        'where colour jitter, RGB shift and Gaussian blur are computed; device: on the GPU, an image that rarely'
        ' differs by more than 8 grey levels',
    ),
    switch(
        'crop_val',
        'with --pre_size: evaluate a centred square of that side',
        decides=(NUMBERS, VALUES, TEST),
        read_by='',
        needs=('pre_size',),
    ),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
