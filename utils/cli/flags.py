"""Flags of train.py: its parser, the rules between flags, and how a run takes over those of a checkpoint.

The flags themselves are declared in utils.settings. Parsed flags are complete and are never written to afterwards: what
changes them returns new ones. A mistake is a ValueError of one sentence.
"""

from argparse import Namespace

from utils.cli.parser import Parser
from utils.cli.presets import preset_line, with_preset
from utils.cli.wording import counted
from utils.cores import loader_processes, own_cores
from utils.settings import SETTINGS
from utils.settings.retired import OF_TRAINING
from utils.settings.setting import NETWORK, STEPS
from utils.settings.shown import EVERYDAY

EXAMPLES = """\
train, on images that photos.yaml describes (docs/datasets.md):
  python train.py --dataset custom --data_yaml photos.yaml --result_dir runs/a
go on after a stop:
  python train.py --resume runs/a
score the result:
  python train.py --run runs/a --eval val
"""
# What keeps a network from learning images by heart.
OVERFIT = dict.fromkeys(('class_uniform_pct', 'repeat_factor', 'mosaic', 'class_mix', 'copy_paste', 'color_aug'), 0.0)
OVERFIT |= {'gblur': False, 'bblur': False, 'rand_augment': None, 'scale_min': 1.0, 'scale_max': 1.0}
OVERFIT |= {'rgb_shift': 0.0, 'vflip': 0.0, 'albumentations': None}
OVERFIT |= dict.fromkeys(('brightness', 'contrast', 'saturation', 'hue'))
OVERFIT_VAL_FREQ = 10  # epochs of a few steps
DUMP_FLAGS = ('dump_logits', 'dump_for_submission', 'dump_for_auto_labelling')


def build_parser(dataset_names=(), settings=SETTINGS) -> Parser:
    """The whole parser. dataset_names: for the help of --dataset."""
    parser = Parser(
        prog='train.py',
        description='Train, evaluate and dump semantic segmentation networks.',
        everyday=EVERYDAY,
        examples=EXAMPLES,
        retired=OF_TRAINING,
    )
    settings.add_to(parser, dataset=with_names(dataset_names))
    return parser


def with_names(dataset_names) -> dict:
    """The declaration of --dataset with the datasets that there are in its help."""
    return {'help': f'{SETTINGS["dataset"].help}: {", ".join(dataset_names)}'}


def parse(argv, dataset_names=(), adopt=lambda args: args) -> Namespace:
    """The flags of a command line, checked and complete; adopt: puts in those of an earlier run."""
    return complete(adopt(build_parser(dataset_names).parse_all(argv)))


def with_values(args, **changes) -> Namespace:
    """Flags like `args` but for some values."""
    return Namespace(**{**vars(args), **changes})


def complete(args) -> Namespace:
    """The flags with what follows from others. Raises ValueError for flags that contradict each other."""
    args = with_preset(args)
    check(args)
    return derived(args)


def derived(args) -> Namespace:
    """The flags with what follows from others, unchecked."""
    if args.overfit and not args.eval:
        seldom = {} if 'val_freq' in args.given else {'val_freq': OVERFIT_VAL_FREQ}
        args = with_values(args, **OVERFIT, **seldom)
    return with_values(
        args,
        num_workers=loader_processes() if args.num_workers is None else args.num_workers,
        precision='fp16' if args.fp16 else args.precision,
        max_epoch=2 if args.test_mode else args.max_epoch,
        snapshot=args.snapshot and args.snapshot.replace('ASSETS_PATH', args.assets_path),
        source=None,  # the checkpoint that the weights come from, known once it is found
    )


def check(args):
    """Raise ValueError for flags that contradict each other, or miss one that they need."""
    if args.scale_min > args.scale_max:
        raise ValueError(f'--scale_min {args.scale_min} is above --scale_max {args.scale_max}; swap them')
    if args.eval == 'folder' and not args.eval_folder:
        raise ValueError('--eval folder needs --eval_folder DIR, the folder with the images')
    if args.eval_folder and args.eval != 'folder':
        raise ValueError(
            f'--eval_folder {args.eval_folder} is only read with --eval folder; add it or leave the folder out'
        )
    if args.resume not in (None, 'auto') and args.snapshot:
        raise ValueError(
            '--resume and --snapshot were both given; --resume continues a run, --snapshot starts a new one from'
            ' weights: give one, or --resume auto, which takes the snapshot where there is nothing to continue'
        )
    if args.resume and args.eval:
        raise ValueError('--resume continues a training; evaluate a checkpoint with --snapshot FILE')
    if args.eval and not (args.snapshot or args.random_weights or args.summary):
        raise ValueError(
            f'--eval {args.eval}: no weights were given; give --run DIR of a training or --snapshot FILE, or'
            ' --random_weights to evaluate a network that learned nothing'
        )
    if args.random_weights and args.snapshot:
        raise ValueError(f'--random_weights and the weights of {args.snapshot} contradict each other; give one')
    if args.eval and (args.allow_class_mismatch or args.snapshot_partial):
        raise ValueError(
            '--allow_class_mismatch and --snapshot_partial leave layers at random values, to be trained; leave them out'
            ' with --eval'
        )
    if args.start_epoch >= args.max_epoch:
        raise ValueError(
            f'--start_epoch {args.start_epoch} leaves nothing to train before --max_epoch {args.max_epoch}; lower the'
            ' first or raise the second'
        )
    if args.folds and args.cv:
        raise ValueError(f'--folds {args.folds} and --cv {args.cv} are two ways to divide the images; give one')
    if args.overfit and args.minutes:
        raise ValueError('--overfit and --minutes both say when a training ends; give one')
    if args.overfit and (
        boosted := [f'--{name}' for name in ('coarse_boost_classes', 'only_coarse') if getattr(args, name)]
    ):
        raise ValueError(f'--overfit takes its images from the first data alone; leave {" and ".join(boosted)} out')
    if args.lr_find and not args.eval and args.lr == 0:
        raise ValueError('--lr_find: --lr 0 leaves no ratio between the rates of groups; leave --lr out')
    if args.ema is not None and not 0 < args.ema < 1:
        raise ValueError(
            f'--ema {args.ema}: expected a decay between 0 and 1, such as 0.999; leave the flag out for none'
        )
    epochs = args.max_epoch - args.start_epoch
    if args.swa_epochs and args.swa_epochs > epochs:
        raise ValueError(
            f'--swa_epochs {args.swa_epochs}: the training has {counted(epochs, "epoch")}; give fewer, or a larger'
            ' --max_epoch'
        )
    early = [f'--{name}' for name in ('early_stop', 'overfit') if getattr(args, name)]
    if args.swa_epochs and early:
        raise ValueError(
            f'{early[0]} ends a training before the last epochs, whose weights --swa_epochs averages; give one'
        )
    if args.dump_topn and (args.no_metrics or args.eval in ('folder', 'test')):
        raise ValueError(
            '--dump_topn ranks images by their errors and needs labels; evaluate val or trn and leave out --no_metrics'
        )
    for name in ('rmi_loss', 'img_wt_loss', 'jointwtborder'):
        if args.loss and getattr(args, name):
            raise ValueError(f'--loss and --{name} both choose the loss; give one')
    if args.crop_val and args.dump_grid == 'image' and args.eval not in (None, 'folder'):
        dumps = [f'--{name}' for name in DUMP_FLAGS if getattr(args, name)]
        if dumps:
            raise ValueError(
                f'--crop_val shows the network the middle square of an image alone, and {" and ".join(dumps)}'
                f' {"write" if len(dumps) > 1 else "writes"} whole images; leave --crop_val out, or give --dump_grid'
                ' network for that square'
            )
    if args.overfit and args.best_metric != 'mean_iu':
        raise ValueError(f'--overfit ends by the mean IoU, found --best_metric {args.best_metric}; leave it out')
    if args.limit_batches and args.minutes:
        raise ValueError('--limit_batches and --minutes both decide how long epochs are; give one')
    if args.fp16 and args.precision != 'fp16' and 'precision' in args.given:
        raise ValueError(f'--fp16 and --precision {args.precision} contradict each other; give one')
    check_coarse(args)
    SETTINGS.check_needs(args)


def check_coarse(args):
    """Raise ValueError for two ways to train on coarse labels, or for one that is turned off."""
    boosting = ' and '.join(f'--{name}' for name in ('coarse_boost_classes', 'only_coarse') if getattr(args, name))
    if boosting and args.quality != 'fine':
        raise ValueError(f'{boosting} and --quality {args.quality} are two ways to train on coarse labels; give one')
    if boosting and getattr(args, 'class_uniform_pct', None) == 0:
        raise ValueError(
            f'{boosting} adds to the class-uniform part of an epoch, which --class_uniform_pct 0 turns off; '
            'give another share, or --quality fine_coarse'
        )


def unread(args) -> list[str]:
    """A sentence for every given flag that has no effect, and for one that stands for others."""
    lines = SETTINGS.notes(args) + ([] if args.eval else preset_line(args))
    if args.overfit and not args.eval:
        lines += [f'--{name} has no effect beside --overfit' for name in args.given if name in OVERFIT]
    if args.override_dataset_root and args.dataset == 'custom':
        lines.append(
            '--override_dataset_root has no effect with --dataset custom: root in the file of --data_yaml says where'
            ' the images are'
        )
    if args.lr == 0 and not args.eval:
        lines.append('--lr 0: no weight will change, only batch statistics')
    if 'num_workers' in args.given and args.num_workers > own_cores():
        lines.append(
            f'--num_workers {args.num_workers}: a process may use {counted(own_cores(), "core")} here, more loader'
            ' processes than that are rarely faster'
        )
    if args.pretrained != 'none' and (args.snapshot or args.resume not in (None, 'auto')):
        lines.append('--pretrained has no effect: the checkpoint holds the trunk too')
    return lines


def adopt_network(args, state, log) -> Namespace:
    """The flags with those of the network that were not given taken from a checkpoint's state (None: there is none).

    log: called with a sentence for each that is taken over. Raises ValueError where a run that is resumed has another
    network.
    """
    stored = dict((state or {}).get('network') or {})
    for name in ('arch', 'trunk'):  # files of other programs, and older ones, hold these alone
        if stored.get(name) is None and state and isinstance(state.get(name), str):
            stored[name] = state[name]
    taken = {}
    for name in SETTINGS.deciding(NETWORK):
        value = stored.get(name)
        if value is None or value == getattr(args, name):
            continue
        check_stored(name, value, getattr(args, 'source', None) or 'the checkpoint')
        if name not in args.given:
            log(f'--{name} {value}: taken from the checkpoint')
            taken[name] = value
        # --resume auto that has nothing to continue starts from the snapshot
        elif getattr(args, 'resume', None) and not args.snapshot:
            raise ValueError(
                f'--{name} {getattr(args, name)}: the run to resume has {name} {value}; '
                'leave the flag out, or start a new run with --snapshot'
            )
    return with_values(args, **taken)


def adopt_normalisation(args, known, holder: str, log) -> Namespace:
    """The flags with mean and std of the weights that a run starts from, where they were not given.

    known: (mean, std), or None where nothing tells them. holder: what does, for the line to `log`.
    """
    if known is None or known == (args.mean, args.std) or {'mean', 'std'} & set(args.given):
        return args
    mean, std = (','.join(f'{value:g}' for value in values) for values in known)
    log(f'--mean {mean} --std {std}: taken from the {holder}')
    return with_values(args, mean=known[0], std=known[1])


def adopt_value_range(args, known, log) -> Namespace:
    """The flags with the --value_range of the images of a checkpoint (None: bytes), where it was not given."""
    if known in (None, args.value_range) or 'value_range' in args.given:
        return args
    log(f'--value_range {known[0]:g},{known[1]:g}: taken from the checkpoint')
    return with_values(args, value_range=known)


def check_normalisation(args):
    """Raise ValueError when --mean or --std were given for another number of channels."""
    for name in {'mean', 'std'} & set(args.given):
        found = len(getattr(args, name))
        if found != args.in_channels:
            raise ValueError(
                f'--{name}: has {counted(found, "value")}, images have {counted(args.in_channels, "channel")}; give one'
                ' for each'
            )


def check_stored(name: str, value, source: str):
    """Raise ValueError for a value of the checkpoint `source` that the flag cannot have, by its type."""
    default = SETTINGS[name].default
    kind = next((kind for kind in (bool, int, float, str, tuple) if isinstance(default, kind)), None)
    allowed = {None: (str, int, float, tuple, list), float: (int, float), tuple: (tuple, list)}.get(kind, kind)
    if not isinstance(value, allowed) or isinstance(value, bool) and kind is not bool:
        raise ValueError(
            f'{source}: says --{name} {value!r:.60}, which the flag cannot be; give --{name}, or copy the file again'
        )


def changed_since(args, state) -> list[str]:
    """The flags for which a run resumed from `state` is not the same bit for bit, as '--flag new (was old)'."""
    return SETTINGS.changed_numbers(args, state.get('args') or {})


def check_same_steps(args, state, world):
    """Raise ValueError when a run that stopped within an epoch is resumed with steps of another size."""
    changed = SETTINGS.changed(args, state.get('args') or {}, STEPS)
    if state.get('rng') and len(state['rng']) != world:
        changed.append(f'{world} processes (were {len(state["rng"])})')
    if changed:
        raise ValueError(
            '--resume: the run stopped within an epoch, which can only go on in steps of the same size, found'
            f' {", ".join(changed)}; resume with the old values, change them after the epoch'
        )
