"""Settings of the objective."""

from utils.settings.setting import NUMBERS, TRAINING, Setting, choice, group, switch
from utils.settings.value_types import above_zero, amount, count, names, number, numbers, positive, share

NAMED = ('loss',)  # what single losses read is checked when they are named
TAUGHT = ('teacher',)

SETTINGS = group(
    'loss',
    switch('rmi_loss', 'binary cross-entropy and region mutual information on the main output'),
    switch(
        'img_wt_loss',
        'cross-entropy weighted by the class histogram of each image',
        idle_beside=('rmi_loss',),
    ),
    switch(
        'jointwtborder',
        'border relaxation: near a border any class of the neighbourhood is right',
        idle_beside=('rmi_loss', 'img_wt_loss'),
    ),
    Setting(
        'wt_bound',
        amount,
        1.0,
        'W',
        'upper bound of the image weights',
        old_names=('-wb',),
        idle_without=('img_wt_loss', 'jointwtborder', *NAMED),
    ),
    switch(
        'batch_weighting',
        '--img_wt_loss and --jointwtborder: one class histogram per batch instead of one per image',
        idle_without=('img_wt_loss', 'jointwtborder', *NAMED),
    ),
    Setting(
        'strict_bdr_cls',
        numbers(int, minimum=0),
        (),
        'LIST',
        'classes (trainIds) whose pixels border relaxation leaves alone (default: none)',
        idle_without=('jointwtborder', *NAMED),
    ),
    Setting(
        'border_window',
        count,
        1,
        'PIXELS',
        'how far the neighbourhood of border relaxation reaches to each side',
        idle_without=('jointwtborder', *NAMED),
    ),
    Setting(
        'loss',
        names,
        None,
        'LIST',
        'losses of the outputs of the network, in order, the last for all that are left, instead of --rmi_loss,'
        ' --img_wt_loss and --jointwtborder:'
        ' ce, wce, img_wt, border, rmi, wrmi, bce, dc, dc_ce, topk, dc_topk, ohem, focal, lovasz, jaccard, mlbce, sbce,'
        ' bce_pl, mldc, mljl, mlbcejl, dc_pl, jl_pl, mask',
    ),
    Setting(
        'loss_weights',
        numbers(float),
        None,
        'LIST',
        'weights of the losses of --loss, the last for all that are left (default: the published weights)',
        needs=('loss',),
        unmet='needs --loss, the losses that the weights belong to',
    ),
    Setting(
        'class_weights',
        str,
        None,
        'LIST|FILE:KIND',
        'a weight for each class in wce and wrmi, without these in ce; or those of a verify.json of datasets.verify, of'
        ' KIND inverse, balanced or median (default: for wce and wrmi those of the data set, for ce all alike)',
    ),
    Setting(
        'val_loss',
        str,
        None,
        'NAME',
        'loss of validations: one of --loss, or same, that of the main output (default: cross-entropy without weights)',
        decides=(),
    ),
    Setting('label_smoothing', share, 0.0, 'S', 'share of the truth that ce and wce spread over all classes'),
    choice(
        'rmi_pool',
        ('avg4', 'max3'),
        'avg4',
        'pooling before region mutual information: averages of 4x4 pixels (HMSA) or maxima of 3x3',
        idle_without=('rmi_loss', *NAMED),
    ),
    Setting(
        'topk_share',
        number(float, low=0.001, high=1),
        0.1,
        'S',
        'share of the pixels that topk and dc_topk train',
        idle_without=NAMED,
    ),
    Setting(
        'ohem_threshold',
        number(float, low=0.001, high=1),
        0.7,
        'P',
        'largest probability of the true class of pixels that ohem trains',
        idle_without=NAMED,
    ),
    Setting('ohem_min_kept', positive, 100_000, 'N', 'pixels of a batch that ohem trains at least', idle_without=NAMED),
    Setting('focal_gamma', amount, 2.0, 'G', 'exponent of the focal loss', idle_without=NAMED),
    Setting(
        'overlap_smooth',
        amount,
        0.0,
        'S',
        'added to both sides of the fraction by mldc, mljl, mlbcejl, dc_pl and jl_pl',
        idle_without=NAMED,
    ),
    Setting('mask_points', positive, 12544, 'N', 'points of each mask that the mask loss compares'),
    Setting('mask_no_object', amount, 0.1, 'W', 'weight of queries without a mask in the class term of the mask loss'),
    Setting(
        'ocr_alpha',
        amount,
        0.4,
        'W',
        'weight of the auxiliary output',
        cfg='LOSS.OCR_ALPHA',
        idle_beside=('loss_weights',),
    ),
    switch(
        'ocr_aux_loss_rmi',
        'region mutual information on the auxiliary output too',
        cfg='LOSS.OCR_AUX_RMI',
        idle_without=('rmi_loss',),
    ),
    Setting(
        'supervised_mscale_loss_wt',
        amount,
        0.0,
        'W',
        'weight of each single-scale output of a multi-scale network',
        cfg='LOSS.SUPERVISED_MSCALE_WT',
        idle_beside=('loss_weights',),
    ),
    Setting(
        'teacher',
        names,
        None,
        'FILE|DIR',
        'distillation: a checkpoint, a run directory or a folder of stored logits whose classes at every pixel are'
        ' learned beside the labels; a comma list is an ensemble, the mean of their probabilities',
    ),
    Setting(
        'distill_temperature',
        above_zero,
        1.0,
        'T',
        'softening of both in the divergence from the teacher, which T^2 multiplies',
        idle_without=TAUGHT,
    ),
    Setting(
        'distill_weight', amount, 1.0, 'W', 'of that divergence, beside the loss of the labels', idle_without=TAUGHT
    ),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
