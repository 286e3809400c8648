"""Settings of the run directory, and of what an evaluation writes into it."""

from typing import Any

from utils.settings.setting import EVALUATION, TRAINING, Setting, choice, group, switch
from utils.settings.value_types import count, names_among, positive

OF_LOGITS: dict[str, Any] = {'idle_without': ('dump_logits',)}
BY_EVALUATION: dict[str, Any] = {
    'needs': ('eval',),
    'unmet': 'is written by an evaluation; add --eval val, trn or folder',
}

SETTINGS = group(
    'output',
    Setting('result_dir', str, 'logs', 'DIR', 'the run directory; with --exp the folder of all of them'),
    Setting(
        'exp',
        str,
        None,
        'NAME',
        'name the run directory after what the run is: <result_dir>/<dataset>/<arch>/NAME__<flag>_<value>__... of the'
        ' flags that are not at their defaults',
        read_by=TRAINING,
    ),
    Setting('log_freq', positive, 10, 'N', 'training steps between two log lines'),
    Setting(
        'log_to',
        names_among('tensorboard', 'wandb', 'mlflow'),
        ('tensorboard',),
        'A,B',
        'who gets numbers and pictures beside logging.log and metrics.csv: tensorboard, wandb, mlflow, or none',
    ),
    switch(
        'dump_logits', 'write logits/<name>_logits.npz, float16 (C, h, w), and logits/manifest.json', **BY_EVALUATION
    ),
    choice(
        'logits_format', ('npz', 'npy', 'zst'), 'npz', 'npz: as published; npy: uncompressed; zst: zstd', **OF_LOGITS
    ),
    choice(
        'logits_dtype',
        ('float16', 'int8'),
        'float16',
        'int8: 255 steps between the extremes of each class',
        **OF_LOGITS,
    ),
    Setting(
        'logits_stride',
        int,
        1,
        '1|2|4',
        'average over this many pixels in both directions',
        choices=(1, 2, 4),
        **OF_LOGITS,
    ),
    choice(
        'dump_grid',
        ('image', 'network'),
        'image',
        'pixels of dumps with --pre_size: those of the image, or of the resized image that the network sees',
        idle_without=('pre_size',),
        read_by=EVALUATION,
    ),
    switch('dump_for_submission', 'write submit/<name>_pred.png (label ids) and _conf.png (uint16)', **BY_EVALUATION),
    switch('dump_for_auto_labelling', 'write <name>.png (label ids) and <name>_prob.png (uint8)', **BY_EVALUATION),
    switch('dump_assets', 'write attention, error, probability and single-scale pictures', **BY_EVALUATION),
    switch('dump_all_images', 'write the pictures of every image instead of about ten', **BY_EVALUATION),
    Setting(
        'dump_topn', count, 0, 'N', 'show the N worst images of each class on a page of their own', **BY_EVALUATION
    ),
    switch(
        'dump_topn_all', 'with --dump_topn: write their single-scale and attention pictures too', needs=('dump_topn',)
    ),
    switch(
        'dump_augmentation_images',
        'write the first training samples as the network sees them to augmented/',
        read_by=TRAINING,
    ),
    switch('overwrite', 'write dumps again that are already there', read_by=EVALUATION),
)
