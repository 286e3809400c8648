"""Settings of an evaluation, and of the validation within a training."""

from pathlib import Path

from utils.settings.setting import EVALUATION, NUMBERS, TEST, TRAINING, VALUES, Setting, choice, group, switch
from utils.settings.value_types import crop_size, number, positive, scale, scales

TILE_WEIGHTS = ('gaussian', 'linear')  # of pixels in their tile, see network/tiles.py


def resolved(folder):
    """The one path of a folder that has several."""
    return str(Path(folder).resolve())


SETTINGS = group(
    'evaluation',
    choice(
        'eval',
        ('val', 'trn', 'test', 'folder'),
        None,
        'evaluate this split, or a folder of images, instead of training',
        decides=(),
    ),
    choice(
        'test_settings',
        ('flags', 'stored', 'published'),
        'flags',
        'scales, flips and sizes of a test; flags: as the flags say, stored: those of the checkpoint, published: those'
        ' that this network and dataset were published with (docs/evaluation.md); flags given beside --eval win',
        decides=(),
        idle_without=('eval', 'test_after'),
    ),
    switch(
        'test_after',
        'when a training ends, test its best weights and write test.json; on test where that has labels, else on val',
        decides=(),
        read_by=TRAINING,
    ),
    Setting('eval_folder', str, None, 'DIR', 'the images of --eval folder', decides=(VALUES,), recorded=resolved),
    Setting('val_freq', positive, 1, 'E', 'validate every E epochs and after the last', decides=()),
    Setting('default_scale', scale, 1.0, 'S', 'scale of the evaluated image'),
    switch('multi_scale_inference', 'average the logits of --default_scale and --extra_scales'),
    Setting(
        'extra_scales',
        scales,
        (0.5, 2.0),
        'LIST',
        'the scales beside --default_scale',
        idle_without=('multi_scale_inference',),
    ),
    switch('do_flip', 'average with the mirrored image'),
    Setting(
        'crop_eval',
        crop_size,
        None,
        'S|H,W',
        'evaluate larger images by a sliding window with tiles of this size in pixels (default: images as a whole)',
        recorded_if_given=True,
    ),
    Setting(
        'crop_overlap',
        number(float, low=0, high=0.9),
        0.25,
        'P',
        'share of their sides that tiles of --crop_eval have in common',
        idle_without=('crop_eval',),
        recorded_if_given=True,
    ),
    switch(
        'strict',
        'end at the first image that cannot be read, instead of leaving it out',
        decides=(),
        read_by=EVALUATION,
    ),
    switch('no_metrics', 'write what is to be dumped and compute no score', decides=(), read_by=EVALUATION),
    decides=(NUMBERS, VALUES, TEST),
)
