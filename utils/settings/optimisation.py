"""Settings of the optimizer, the schedule, and the length of a training."""

from utils.settings.setting import NUMBERS, STEPS, TRAINING, Setting, choice, group, switch
from utils.settings.value_types import above_zero, amount, count, number, positive, rates, share

SCL_POLY = ('lr_schedule=scl-poly',)
POLY = ('lr_schedule=poly', 'lr_schedule=poly2', *SCL_POLY)

SETTINGS = group(
    'optimisation',
    choice('optimizer', ('sgd', 'adam', 'adamw', 'radam', 'madgrad', 'muon'), 'sgd', 'update rule'),
    Setting('lr', amount, 0.002, 'RATE', 'learning rate at the start'),
    switch(
        'lr_find',
        'instead of training, try --lr_find_steps growing learning rates and draw the loss over them (lr_find.html in'
        ' --result_dir); names two for --lr',
        decides=(),
    ),
    Setting(
        'lr_find_range',
        rates,
        (1e-6, 1.0),
        'LOW,HIGH',
        'first and last learning rate of --lr_find',
        decides=(),
        idle_without=('lr_find',),
    ),
    Setting(
        'lr_find_steps',
        number(int, low=10),
        100,
        'N',
        'steps of --lr_find',
        decides=(),
        idle_without=('lr_find',),
    ),
    Setting('lr_trunk_mult', amount, 1.0, 'F', 'factor on --lr for the trunk', idle_beside=('freeze_trunk',)),
    Setting(
        'layer_decay',
        number(float, above=0, high=1),
        1.0,
        'F',
        'factor on --lr from each layer of a timm trunk to the one before it, for instance 0.9',
        idle_beside=('freeze_trunk',),
    ),
    Setting('momentum', number(float, low=0, below=1), 0.9, 'M', 'of SGD', idle_without=('optimizer=sgd',)),
    Setting('weight_decay', amount, 1e-4, 'W', 'of every parameter'),
    switch('no_decay_norms', 'no weight decay of norms and biases'),
    switch('amsgrad', 'the AMSGrad variant of Adam'),
    Setting(
        'max_epoch', positive, 180, 'E', 'epochs to train, and the horizon of the schedule', idle_beside=('test_mode',)
    ),
    Setting('start_epoch', count, 0, 'E', 'first epoch; a resumed run knows its own', decides=()),
    choice('lr_schedule', ('poly', 'poly2', 'scl-poly', 'cosine', 'onecycle'), 'poly', 'course of the learning rate'),
    choice('lr_step', ('epoch', 'iter'), 'epoch', 'move the schedule every epoch, as published, or every step'),
    Setting(
        'warmup',
        count,
        0,
        'N',
        'steps in which the learning rate rises to the course of the schedule',
        needs=('lr_step=iter',),
    ),
    Setting('poly_exp', amount, 1.0, 'P', 'exponent p of the poly schedules (1 - t/T)^p', idle_without=POLY),
    Setting(
        'poly_step',
        positive,
        110,
        'E',
        'epoch at which poly2 doubles its exponent',
        idle_without=('lr_schedule=poly2',),
    ),
    Setting(
        'rlx_off_epoch',
        int,
        -1,
        'E',
        'epoch at which scl-poly starts its second part, and the last one with border relaxation; -1: off',
        idle_without=(*SCL_POLY, 'jointwtborder'),
    ),
    Setting('rescale', above_zero, 1.0, 'F', 'factor of the second part of scl-poly', idle_without=SCL_POLY),
    Setting('repoly', amount, 1.5, 'P', 'exponent of the second part of scl-poly', idle_without=SCL_POLY),
    Setting('accumulate', positive, 1, 'N', 'batches whose gradients are averaged into one step', decides=(STEPS,)),
    Setting('clip_grad', above_zero, None, 'NORM', 'largest gradient norm (default: not clipped)'),
    Setting(
        'ema',
        share,
        None,
        'DECAY',
        'evaluate and keep an exponential moving average of the weights, for instance 0.999',
    ),
    Setting(
        'swa_epochs',
        positive,
        None,
        'N',
        'average the weights at the ends of the last N epochs, and score and keep the mean (default: off)',
    ),
    Setting(
        'swa_lr',
        above_zero,
        None,
        'RATE',
        'constant rate of these epochs (default: that of the schedule when they begin)',
        idle_without=('swa_epochs',),
    ),
    Setting(
        'swa_anneal_epochs',
        count,
        0,
        'E',
        'epochs, of these, in which the rate goes to --swa_lr along half a cosine',
        idle_without=('swa_lr',),
    ),
    Setting(
        'max_skipped_steps',
        count,
        10,
        'N',
        'steps with a non-finite loss or gradient to skip before stopping',
        decides=(),
    ),
    switch('test_mode', 'two epochs of eleven training and seven validation batches', decides=(STEPS,), read_by=''),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
