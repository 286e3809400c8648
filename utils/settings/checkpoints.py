"""Settings of weights that are read and written."""

from utils.settings.setting import TRAINING, Setting, group, switch
from utils.settings.value_types import amount

SETTINGS = group(
    'checkpoints',
    Setting(
        'assets_path', str, 'assets', 'DIR', 'folder of seg_weights/, uniform_centroids/ and data/', cfg='ASSETS_PATH'
    ),
    Setting(
        'snapshot',
        str,
        None,
        'FILE|DIR',
        'weights to start from or evaluate, of a run directory the best; ASSETS_PATH in it stands for --assets_path',
    ),
    Setting(
        'run',
        str,
        None,
        'DIR',
        'with --eval: test the best weights of this run directory with its own data and settings; flags given beside it'
        ' win',
        needs=('eval',),
        unmet='tests a finished run; add --eval val, or continue it with --resume DIR',
    ),
    Setting(
        'finetune_from',
        str,
        None,
        'DIR|FILE',
        'start a new training from the best weights of a run, with its network; layers of other classes start anew',
    ),
    switch(
        'random_weights',
        'evaluate a network that nothing was loaded into, for instance to time it',
        needs=('eval',),
    ),
    switch(
        'allow_class_mismatch',
        'let --snapshot have another number of classes: its class layers are left out',
        needs=('snapshot',),
    ),
    switch(
        'snapshot_partial',
        'load what fits of --snapshot by name and shape, at least half of the network',
        needs=('snapshot',),
    ),
    switch('restore_optimizer', 'take the optimizer state of --snapshot too', needs=('snapshot',)),
    Setting(
        'resume',
        str,
        None,
        'DIR|FILE|auto',
        'continue a run; DIR: the last checkpoint of that run, with its flags; auto: the last checkpoint of'
        ' --result_dir, or a fresh start without one',
    ),
    switch(
        'restart_epoch',
        'a resumed run that stopped within an epoch begins that epoch anew, for instance because its images changed',
        needs=('resume',),
        decides=(),
    ),
    Setting(
        'on_stop',
        str,
        None,
        'MODULE:NAME',
        'a function of a cluster, called with what is known of a training that it has stopped and that is saved; or'
        ' what has the calls of the published AutoResume',
        read_by=TRAINING,
    ),
    Setting('save_minutes', amount, 30.0, 'M', 'save within an epoch too after so long; 0: after an epoch only'),
)
