"""Settings of the data: which files are the dataset, and how an epoch is drawn from them."""

import hashlib
import os
from pathlib import Path

from utils.settings.setting import NUMBERS, STEPS, TRAINING, VALUES, Setting, choice, group, key, switch
from utils.settings.value_types import count, number, numbers, positive, share, value_range


def text(value):
    """A path that is '' where there is none."""
    return value or ''


def none_is_0(value):
    return value or 0


def digest(path):
    """The SHA-256 of a small file: what it says counts, not where it lies."""
    return hashlib.sha256(Path(os.path.expanduser(path)).read_bytes()).hexdigest()


SETTINGS = group(
    'data',
    Setting('dataset', str, 'cityscapes', 'NAME', 'dataset to train on or evaluate', decides=(NUMBERS, VALUES)),
    Setting(
        'data_yaml',
        str,
        None,
        'FILE',
        'file that describes the images, labels and classes of --dataset custom (docs/datasets.md)',
        cfg='DATASET.DATA_YAML',
        to_cfg=text,
        decides=(NUMBERS, VALUES),
        recorded=digest,
        recorded_if_given=True,
    ),
    Setting(
        'override_dataset_root',
        str,
        None,
        'DIR',
        'folder that holds one folder per dataset (default: <assets_path>/data)',
        cfg='DATASET.ROOT',
        to_cfg=text,
        decides=(),
    ),
    Setting(
        'cv',
        count,
        0,
        'N',
        'which cross-validation fold is the validation set; 3: train + val for both',
        cfg='DATASET.CV',
    ),
    Setting(
        'folds',
        number(int, low=2),
        None,
        'K',
        'divide the images of train and val into K folds of whole folders or videos',
        cfg='DATASET.FOLDS',
        to_cfg=none_is_0,
    ),
    Setting('fold', count, 0, 'N', 'the fold to validate on, from 0', cfg='DATASET.FOLD', needs=('folds',)),
    choice(
        'fold_by',
        ('auto', 'folder', 'video', 'image'),
        'auto',
        'what stays in one fold; auto: folders where there are enough, else videos (names but for their numbers)',
        cfg='DATASET.FOLD_BY',
        idle_without=('folds',),
        idle_beside=('fold_list',),
    ),
    Setting(
        'fold_seed',
        count,
        0,
        'N',
        'of the order in which folders, videos or images are given to the folds',
        cfg='DATASET.FOLD_SEED',
        idle_without=('folds',),
        idle_beside=('fold_list',),
    ),
    Setting(
        'fold_list',
        str,
        None,
        'FILE',
        'text file with a line for each image of train and val: the image, a comma, its fold from 0',
        cfg='DATASET.FOLD_LIST',
        to_cfg=text,
        needs=('folds',),
    ),
    Setting(
        'max_pixels',
        number(int, 1, 1 << 30),
        1 << 29,
        'N',
        'refuse images of more pixels (height x width), before memory is taken for them',
        cfg='DATASET.MAX_PIXELS',
        decides=(),
    ),
    Setting(
        'ignore_ids',
        numbers(int),
        (),
        'IDS',
        'comma list of raw label ids to treat as ignore, although the dataset does not know them',
        cfg='DATASET.IGNORE_IDS',
    ),
    Setting(
        'class_uniform_pct',
        share,
        0.5,
        'P',
        'share of an epoch drawn class by class; 0 turns it off',
        cfg='DATASET.CLASS_UNIFORM_PCT',
        read_by=TRAINING,
    ),
    Setting(
        'class_uniform_off_epoch',
        count,
        None,
        'E',
        'first epoch of random images alone, without --class_uniform_pct and --repeat_factor (default: none)',
        cfg='DATASET.CLASS_UNIFORM_OFF_EPOCH',
        read_by=TRAINING,
    ),
    Setting(
        'repeat_factor',
        share,
        0.0,
        'F',
        'repeat the images of classes that less than this share of the images holds; 0: no image is repeated',
        cfg='DATASET.REPEAT_FACTOR',
        read_by=TRAINING,
    ),
    Setting(
        'class_uniform_tile',
        positive,
        1024,
        'PIXELS',
        'side of the tiles searched for classes, in pixels of the original image',
        cfg='DATASET.CLASS_UNIFORM_TILE',
        read_by=TRAINING,
    ),
    Setting(
        'cache_dir',
        str,
        None,
        'DIR',
        'keep decoded pixels there, 4 bytes each: training decodes each file once (default: no cache)',
        cfg='DATASET.CACHE_DIR',
        to_cfg=text,
        decides=(),
        read_by=TRAINING,
    ),
    switch(
        'skip_verify',
        'do not look at a sample of the files before the first training on a dataset',
        decides=(),
        read_by=TRAINING,
    ),
    Setting('bs_trn', positive, 2, 'N', 'training images per process and step', decides=(STEPS,), read_by=TRAINING),
    Setting('bs_val', positive, 1, 'N', 'evaluated images per process and step', decides=()),
    Setting(
        'num_workers',
        number(int, low=0, high=512),
        None,
        'N',
        'loader processes; evaluation uses half (default: as many as there are usable cores, at most 4)',
        decides=(),
    ),
    Setting(
        'value_range',
        value_range,
        None,
        'LOW,HIGH',
        'the values of image files that become 0 and 255, as in 0,4095 of 12-bit cameras (default: 8 bits as they are,'
        ' the upper 8 of 16); range in the file of --data_yaml is the same',
        cfg='DATASET.VALUE_RANGE',
        decides=(NUMBERS, VALUES),
        recorded_if_given=True,
    ),
    key('DATASET.CITYSCAPES_SPLITS', 3, 'number of cross-validation folds; --cv equal to it means train + val'),
    key('DATASET.CLASS_UNIFORM_BIAS', None, 'list of K factors on the per-class quota, or None'),
    Setting(
        'mean',
        numbers(float),
        (0.485, 0.456, 0.406),
        'R,G,B',
        'of the RGB values in [0, 1], or of each channel: images are fed as (value - mean) / std; without the flags'
        ' what the checkpoint or the trunk of --pretrained says, else those of ImageNet',
        cfg='DATASET.MEAN',
        decides=(NUMBERS, VALUES),
        recorded_if_given=True,
    ),
    Setting(
        'std',
        numbers(float, minimum=1e-3),
        (0.229, 0.224, 0.225),
        'R,G,B',
        'standard deviation, likewise',
        cfg='DATASET.STD',
        decides=(NUMBERS, VALUES),
        recorded_if_given=True,
    ),
    *(
        key(f'DATASET.{name}_DIR', folder, 'folder of this dataset below DATASET.ROOT')
        for name, folder in {
            'CITYSCAPES': 'Cityscapes-nvidia',  # Cityscapes and cityscapes are tried after it
            'CAMVID': 'camvid',
            'SYNTHETIC': 'synthetic',
            'MAPILLARY': 'mapillary-vistas-1.2',
            'MAPILLARY_V2': 'mapillary-vistas-2.0',
            'BDD100K': 'bdd100k',
            'IDD': 'IDD_Segmentation',
            'GTA5': 'GTA5',
            'SHIFT': 'SHIFT',
            'WILDDASH': 'WildDash2',
            'BRAVO': 'bravo_1.0',
            'SEGMENTMEIFYOUCAN': 'SegmentMeIfYouCan',
            'ACDC': 'ACDC',
            'KITTI': 'KITTI',
            'PASCAL_CONTEXT': 'VOC2010',
            'ADE20K': 'ADEChallengeData2016',
        }.items()
    ),
    decides=(NUMBERS,),
)
