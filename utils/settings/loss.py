"""Settings of the objective."""

from utils.settings.setting import NUMBERS, TRAINING, Setting, group, switch
from utils.settings.value_types import amount, names, numbers

SETTINGS = group(
    'loss',
    switch('rmi_loss', 'binary cross-entropy and region mutual information on the main output'),
    switch('img_wt_loss', 'cross-entropy weighted by the class histogram of each image'),
    Setting(
        'wt_bound',
        amount,
        1.0,
        'W',
        'upper bound of the image weights',
        old_names=('-wb',),
        idle_without=('img_wt_loss',),
    ),
    switch('batch_weighting', 'one histogram per batch instead of one per image', idle_without=('img_wt_loss',)),
    Setting(
        'loss',
        names,
        None,
        'LIST',
        'ce, img_wt, rmi or bce for each output of the network, in order, instead of the switches above',
    ),
    Setting(
        'loss_weights',
        numbers(float),
        None,
        'LIST',
        'a weight for each loss of --loss (default: the published weights)',
        needs=('loss',),
        unmet='needs --loss, the losses that the weights belong to',
    ),
    Setting(
        'class_weights',
        str,
        None,
        'LIST|FILE:KIND',
        'a weight for each class in cross-entropy (ce); or those of a verify.json of datasets.verify, of KIND inverse,'
        ' balanced or median (default: all alike)',
    ),
    Setting('ocr_alpha', amount, 0.4, 'W', 'weight of the auxiliary output', cfg='LOSS.OCR_ALPHA'),
    switch('ocr_aux_loss_rmi', 'region mutual information on the auxiliary output too', cfg='LOSS.OCR_AUX_RMI'),
    Setting(
        'supervised_mscale_loss_wt',
        amount,
        0.0,
        'W',
        'weight of each single-scale output of a multi-scale network',
        cfg='LOSS.SUPERVISED_MSCALE_WT',
    ),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
