"""Settings of coarsely and automatically labelled images, and how they take part in a training (Cityscapes)."""

from typing import Any

from utils.settings.data import text
from utils.settings.setting import NUMBERS, STEPS, TRAINING, Setting, choice, group, switch
from utils.settings.value_types import count, number, numbers, share

QUALITIES = ('fine', 'coarse', 'fine_coarse')
WRITTEN: dict[str, Any] = {
    'needs': ('custom_coarse_prob',),
    'unmet': 'is about labels that a network wrote; add --custom_coarse_prob, which reads them',
}

GROUP = 'coarse labels (cityscapes)'
SETTINGS = group(
    GROUP,
    choice(
        'quality',
        QUALITIES,
        'fine',
        'labels to train on; fine_coarse: both. Validation has fine labels always',
        cfg='DATASET.QUALITY',
        decides=(STEPS,),
    ),
    Setting(
        'coarse_portion',
        number(float, above=0, high=1),
        1.0,
        'P',
        'share of the coarse images in each epoch of fine_coarse',
        cfg='DATASET.COARSE_PORTION',
        decides=(STEPS,),
        needs=('quality=fine_coarse',),
        unmet='is the share of the coarse images in --quality fine_coarse; add it',
    ),
    Setting(
        'coarse_boost_classes',
        numbers(int, minimum=0),
        (),
        'TRAINIDS',
        'comma list of classes whose class-uniform draws come from coarse images too',
        cfg='DATASET.COARSE_BOOST_CLASSES',
    ),
    switch(
        'only_coarse', 'the class-uniform draws of all classes come from coarse images alone', cfg='DATASET.ONLY_COARSE'
    ),
    Setting(
        'max_cu_epoch',
        count,
        150,
        'E',
        'first epoch that --coarse_boost_classes and --only_coarse leave alone',
        cfg='DATASET.MAX_CU_EPOCH',
        idle_without=('coarse_boost_classes', 'only_coarse'),
    ),
    Setting(
        'custom_coarse_prob',
        share,
        None,
        'P',
        'coarse labels are those that a network wrote, and a pixel is void where its probability is below this'
        ' (default: those that people drew)',
        cfg='DATASET.CUSTOM_COARSE_PROB',
        needs=('coarse_boost_classes', 'only_coarse', 'quality'),
        unmet='says which coarse labels are read, and none are; add --coarse_boost_classes, --only_coarse, or'
        ' --quality coarse or fine_coarse',
    ),
    Setting(
        'custom_coarse_dir',
        str,
        None,
        'DIR',
        'where a network wrote them, the --result_dir of --dump_for_auto_labelling, also below the dataset root'
        ' (default: autolabelled in the folder of the dataset)',
        cfg='DATASET.CITYSCAPES_CUSTOMCOARSE',
        to_cfg=text,
        **WRITTEN,
    ),
    Setting(
        'custom_coarse_dropout_classes',
        numbers(int, minimum=0),
        (),
        'TRAINIDS',
        'comma list of classes that have the pixels that people drew instead of those of the network',
        cfg='DATASET.CUSTOM_COARSE_DROPOUT_CLASSES',
        **WRITTEN,
    ),
    switch(
        'mask_out_cityscapes',
        'leave out the own car and the rectification border of labels that a network wrote',
        cfg='DATASET.MASK_OUT_CITYSCAPES',
        **WRITTEN,
    ),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
