"""Settings of an evaluation, and of the validation within a training."""

from pathlib import Path

from utils.settings.setting import EVALUATION, NUMBERS, STEPS, TEST, TRAINING, VALUES, Setting, choice, group, switch
from utils.settings.value_types import crop_size, names_among, number, numbers, positive, resamplings, scale, scales

WITHOUT_LABELS = ('no_metrics', 'eval=folder')

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
    choice(
        'flip_kind',
        ('h', 'v', '4way'),
        'h',
        'what --do_flip averages with; h: the image mirrored from left to right, v: from top to bottom, 4way: both of'
        ' these and the image mirrored both ways',
        idle_without=('do_flip',),
        recorded_if_given=True,
    ),
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
        'log_msinf_to_tb',
        'score each scale alone too, averaged ones and those that the network blends: a line, and scale/<name> in'
        ' TensorBoard',
        decides=(),
        idle_beside=WITHOUT_LABELS,
    ),
    Setting(
        'measures',
        names_among('boundary', 'ece'),
        ('ece',),
        'A,B',
        'measure what takes time of its own: boundary (IoU near the borders of classes), ece (calibration error); or'
        ' none',
        decides=(),
        idle_beside=WITHOUT_LABELS,
    ),
    Setting(
        'bootstrap',
        resamplings,
        1000,
        'N',
        '95 %% intervals of an evaluation from N resamplings of the images; 0: none',
        decides=(),
        idle_without=('eval', 'test_after'),
        idle_beside=WITHOUT_LABELS,
    ),
    Setting(
        'best_metric',
        str,
        'mean_iu',
        'NAME',
        'number of a validation that chooses the best checkpoint, and that --early_stop looks at: mean_iu, acc,'
        ' acc_cls, fwavacc, loss, dice, image_iu, image_dice, batch_iu, batch_dice, boundary_iu, ece, or iou/CLASS; of'
        ' loss and ece the lowest',
        decides=(),
        read_by=TRAINING,
    ),
    switch(
        'train_metrics',
        'score the training batches too, as they are predicted: a line per epoch and train_epoch/... in TensorBoard',
        decides=(),
        read_by=TRAINING,
    ),
    Setting(
        'limit_batches',
        numbers(int, count=(1, 2), minimum=1),
        None,
        'N[,M]',
        'N training batches of an epoch and M validation batches, at most, per process (M: N); with --eval M batches of'
        ' the evaluation. Scores are marked as partial',
        decides=(STEPS,),
        idle_beside=('test_mode',),
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
