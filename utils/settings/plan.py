"""Settings that plan a training: flags that fit data and machine, how long it may take, and when it is enough."""

from utils.settings.setting import NUMBERS, STEPS, TRAINING, Setting, group, switch
from utils.settings.value_types import above_zero, positive

SETTINGS = group(
    'plan',
    Setting(
        'recipe',
        str,
        None,
        'NAME|FILE',
        'fill in what is not given, from the images and the machine, and print it: small, balanced, published, or a'
        ' YAML file like those of scripts/recipes',
        decides=(),
    ),
    Setting(
        'minutes',
        above_zero,
        None,
        'M',
        'train as long as that, validations included: --max_epoch, --val_freq and --epoch_batches follow from the'
        ' first steps',
        decides=(),
    ),
    Setting(
        'early_stop',
        positive,
        None,
        'N',
        'end after N validations in a row without a better --best_metric (default: at --max_epoch)',
        decides=(),
    ),
    Setting(
        'epoch_batches', positive, None, 'N', 'batches of an epoch, at most (default: all images)', decides=(STEPS,)
    ),
    Setting(
        'overfit',
        positive,
        None,
        'N',
        'train and score on the first N training images without augmentation, and say whether the network learns them'
        ' by heart, as it does where data, labels and loss have no fault',
    ),
    switch(
        'dry_run',
        'check flags, files, data and network, say what would be done, and write nothing; exit code 1 where files are'
        ' missing, which are listed',
        decides=(),
        read_by='',
        idle_beside=('summary',),
    ),
    decides=(NUMBERS,),
    read_by=TRAINING,
)
