"""Settings of what is done to a training image."""

from utils.settings.setting import NUMBERS, TEST, TRAINING, VALUES, Setting, choice, group, switch
from utils.settings.value_types import amount, count, crop_size, numbers, positive, scale, share

SETTINGS = group(
    'augmentation',
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
    switch('full_crop_training', 'crop to the size of each original image'),
    switch('translate_aug_fix', 'paste images that are smaller than the crop at a random place'),
    Setting('color_aug', amount, 0.25, 'A', 'strength of brightness, contrast, saturation and hue jitter'),
    switch('gblur', 'Gaussian blur of every training image, sigma 0.15 to 1.3 pixels', idle_beside=('bblur',)),
    switch('bblur', 'bilateral blur of every training image, instead of --gblur'),
    Setting('rand_augment', str, None, 'N,M', 'RandAugment: N operations of magnitude M in [0, 30]'),
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
        'where colour jitter and Gaussian blur are computed; device: on the GPU, an image that rarely differs by'
        ' more than 8 grey levels',
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
