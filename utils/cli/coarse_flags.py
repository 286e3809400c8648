"""The flags of train.py that say how coarsely and automatically labelled images take part in a training
(Cityscapes)."""

from utils.cli.parser import count, numbers, share

QUALITIES = ('fine', 'coarse', 'fine_coarse')

# Where a flag goes in cfg, as in utils/cli/flags.py.
CFG_KEYS = {
    'quality': 'DATASET__QUALITY',
    'coarse_portion': 'DATASET__COARSE_PORTION',
    'coarse_boost_classes': 'DATASET__COARSE_BOOST_CLASSES',
    'only_coarse': 'DATASET__ONLY_COARSE',
    'max_cu_epoch': 'DATASET__MAX_CU_EPOCH',
    'custom_coarse_prob': 'DATASET__CUSTOM_COARSE_PROB',
    'custom_coarse_dir': 'DATASET__CITYSCAPES_CUSTOMCOARSE',
    'custom_coarse_dropout_classes': 'DATASET__CUSTOM_COARSE_DROPOUT_CLASSES',
    'mask_out_cityscapes': 'DATASET__MASK_OUT_CITYSCAPES',
}


def add_coarse(parser):
    """The group of these flags."""
    group = parser.add_argument_group('coarse labels (cityscapes)')
    group.add_argument(
        '--quality',
        default='fine',
        choices=QUALITIES,
        help='labels to train on; fine_coarse: both. Validation has fine labels always',
    )
    group.add_argument(
        '--coarse_portion',
        type=share,
        default=1.0,
        metavar='P',
        help='share of the coarse images in each epoch of fine_coarse',
    )
    group.add_argument(
        '--coarse_boost_classes',
        type=numbers(int, minimum=0),
        default=(),
        metavar='TRAINIDS',
        help='comma list of classes whose class-uniform draws come from coarse images too',
    )
    group.add_argument(
        '--only_coarse',
        action='store_true',
        help='the class-uniform draws of all classes come from coarse images alone',
    )
    group.add_argument(
        '--max_cu_epoch',
        type=count,
        default=150,
        metavar='E',
        help='first epoch that --coarse_boost_classes and --only_coarse leave alone',
    )
    group.add_argument(
        '--custom_coarse_prob',
        type=share,
        metavar='P',
        help=(
            'coarse labels are those that a network wrote, where its probability is at least this (default: those that'
            ' people drew)'
        ),
    )
    group.add_argument(
        '--custom_coarse_dir',
        metavar='DIR',
        help=(
            'where a network wrote them, the --result_dir of --dump_for_auto_labelling (default: autolabelled in the'
            ' folder of the dataset)'
        ),
    )
    group.add_argument(
        '--custom_coarse_dropout_classes',
        type=numbers(int, minimum=0),
        default=(),
        metavar='TRAINIDS',
        help='comma list of classes that have the pixels that people drew instead of those of the network',
    )
    group.add_argument(
        '--mask_out_cityscapes',
        action='store_true',
        help='leave out the own car and the border of labels that a network wrote',
    )


def _given(args, names):
    return [f'--{name}' for name in names if name in args.given]


def check_coarse(args):
    """Raise ValueError for flags of this group that contradict each other or miss another one."""
    boosting = ' and '.join(f'--{name}' for name in ('coarse_boost_classes', 'only_coarse') if getattr(args, name))
    if boosting and args.quality != 'fine':
        raise ValueError(f'{boosting} and --quality {args.quality} are two ways to train on coarse labels; give one')
    if boosting and args.class_uniform_pct == 0:
        raise ValueError(
            f'{boosting} adds to the class-uniform part of an epoch, which --class_uniform_pct 0 turns off; '
            'give another share, or --quality fine_coarse'
        )
    if args.coarse_portion != 1 and args.quality != 'fine_coarse':
        raise ValueError(
            f'--coarse_portion {args.coarse_portion} is the share of the coarse images in --quality fine_coarse; add it'
        )
    if args.custom_coarse_prob is None:
        for flag in _given(args, ('custom_coarse_dir', 'custom_coarse_dropout_classes', 'mask_out_cityscapes')):
            raise ValueError(f'{flag} is about labels that a network wrote; add --custom_coarse_prob, which reads them')
    elif not boosting and args.quality == 'fine':
        raise ValueError(
            f'--custom_coarse_prob {args.custom_coarse_prob} says which coarse labels are read, and none are; '
            'add --coarse_boost_classes, --only_coarse, or --quality coarse or fine_coarse'
        )


def unread_coarse(args):
    """A sentence for what is given and has no effect."""
    given = _given(args, CFG_KEYS)
    if args.eval and given:
        return [f'{", ".join(given)}: no effect with --eval, which reads fine labels']
    if '--max_cu_epoch' in given and not (args.coarse_boost_classes or args.only_coarse):
        return ['--max_cu_epoch has no effect without --coarse_boost_classes or --only_coarse']
    return []
