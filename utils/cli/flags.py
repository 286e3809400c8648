"""The flags of train.py, in groups: the table of contents of the program. Also where each flag goes in cfg, and which
flags exclude each other. A mistake is a ValueError of one sentence.
"""

from pathlib import Path

from utils.cli import coarse_flags
from utils.cli.parser import Parser, amount, count, crop_size, names, number, numbers, positive, share
from utils.files.atomic import sha256
from utils.outputs.logits import DTYPES, FORMATS, STRIDES


def build_parser(dataset_names=()):
    """The whole parser; each group of the help text is one function below. dataset_names: for the help of --dataset."""
    parser = Parser(prog='train.py', description='Train, evaluate and dump semantic segmentation networks.')
    parser.add_argument(
        '--config', metavar='FILE', help='YAML file of flag: value lines, used as defaults under the flags given here'
    )
    parser.add_argument('--debug', action='store_true', help='show the stack trace of an error instead of one line')
    _data(parser, dataset_names)
    for add in (
        coarse_flags.add_coarse,
        add_augmentation,
        _network,
        _loss,
        _optimisation,
        _precision,
        _checkpoints,
        _evaluation,
        _output,
    ):
        add(parser)
    return parser


def add_dataset(parser, dataset_names=()):
    """The flags that say which files are the dataset; returns their group, data."""
    group = parser.add_argument_group('data')
    group.add_argument(
        '--dataset',
        default='cityscapes',
        metavar='NAME',
        help=f'dataset to train on or evaluate: {", ".join(dataset_names)}',
    )
    group.add_argument(
        '--data_yaml',
        metavar='FILE',
        help='file that describes the images, labels and classes of --dataset custom (docs/datasets.md)',
    )
    group.add_argument(
        '--override_dataset_root',
        metavar='DIR',
        help='folder that holds one folder per dataset (default: <assets_path>/data)',
    )
    group.add_argument(
        '--cv',
        type=count,
        default=0,
        metavar='N',
        help='which cross-validation fold is the validation set; 3: train + val for both',
    )
    group.add_argument(
        '--ignore_ids',
        type=numbers(int),
        default=(),
        metavar='IDS',
        help='comma list of raw label ids to treat as ignore',
    )
    return group


def add_sampling(group):
    """The flags that say how an epoch is drawn."""
    group.add_argument(
        '--class_uniform_pct',
        type=share,
        default=0.5,
        metavar='P',
        help='share of an epoch drawn class by class; 0 turns it off',
    )
    group.add_argument(
        '--class_uniform_tile',
        type=positive,
        default=1024,
        metavar='PIXELS',
        help='side of the tiles searched for classes',
    )


def _data(parser, dataset_names):
    group = add_dataset(parser, dataset_names)
    add_sampling(group)
    group.add_argument(
        '--cache_dir',
        metavar='DIR',
        help='keep decoded pixels there, 4 bytes each: training decodes each file once (default: no cache)',
    )
    group.add_argument(
        '--skip_verify',
        action='store_true',
        help='do not look at a sample of the files before the first training on a dataset',
    )
    group.add_argument('--bs_trn', type=positive, default=2, metavar='N', help='training images per process and step')
    group.add_argument('--bs_val', type=positive, default=1, metavar='N', help='evaluated images per process and step')
    group.add_argument(
        '--num_workers', type=count, default=4, metavar='N', help='loader processes; evaluation uses half'
    )


def add_augmentation(parser):
    """The flags that say what is done to a training image."""
    group = parser.add_argument_group('augmentation')
    group.add_argument(
        '--crop_size', type=crop_size, default=(896, 896), metavar='S|H,W', help='training crop in pixels'
    )
    group.add_argument(
        '--scale_min', type=number(float, low=0.01), default=0.5, metavar='S', help='smallest random scale'
    )
    group.add_argument(
        '--scale_max', type=number(float, low=0.01), default=2.0, metavar='S', help='largest random scale'
    )
    group.add_argument(
        '--pre_size',
        type=positive,
        metavar='PIXELS',
        help='resize the long edge to this before any scale (default: as it is)',
    )
    group.add_argument('--full_crop_training', action='store_true', help='crop to the size of each original image')
    group.add_argument(
        '--translate_aug_fix', action='store_true', help='paste images that are smaller than the crop at a random place'
    )
    group.add_argument(
        '--color_aug',
        type=amount,
        default=0.25,
        metavar='A',
        help='strength of brightness, contrast, saturation and hue jitter',
    )
    group.add_argument(
        '--gblur', action='store_true', help='Gaussian blur of every training image, sigma 0.15 to 1.3 pixels'
    )
    group.add_argument('--bblur', action='store_true', help='bilateral blur instead')
    group.add_argument('--rand_augment', metavar='N,M', help='RandAugment: N operations of magnitude M in [0, 30]')
    group.add_argument(
        '--augment_on',
        choices=('loader', 'device'),
        default='loader',
        help=(
            'where colour jitter and Gaussian blur are computed; device: on the GPU, an image that rarely differs by'
            ' more than 8 grey levels'
        ),
    )
    group.add_argument(
        '--crop_val', action='store_true', help='with --pre_size: evaluate a centred square of that side'
    )


def add_network(parser):
    """The flags that say which network it is; returns their group."""
    group = parser.add_argument_group('network')
    group.add_argument(
        '--arch',
        metavar='NAME',
        help='network, for instance ocrnet.HRNet_Mscale (default: that, or what the checkpoint holds)',
    )
    group.add_argument('--trunk', metavar='NAME', help="backbone (default: the network's own)")
    group.add_argument(
        '--n_scales',
        type=numbers(float, minimum=0.01),
        metavar='LIST',
        help='scales of hierarchical inference, 1.0 among them, as in 0.5,1.0,2.0',
    )
    group.add_argument(
        '--mscale_lo_scale',
        type=number(float, low=0.01, high=1),
        default=0.5,
        metavar='S',
        help='low scale of two-scale training',
    )
    group.add_argument(
        '--align_corners',
        action='store_true',
        help='align_corners of every interpolation (weights of the HRNet-OCR project need it)',
    )
    group.add_argument(
        '--segattn_bot_ch',
        type=positive,
        default=256,
        metavar='C',
        help='bottleneck channels of segmentation and attention heads',
    )
    group.add_argument(
        '--ocr_mid_channels', type=positive, default=512, metavar='C', help='channels of the OCR features'
    )
    group.add_argument(
        '--ocr_key_channels', type=positive, default=256, metavar='C', help='channels of the OCR attention'
    )
    group.add_argument('--ocr_aspp', action='store_true', help='an ASPP inside the OCR block')
    group.add_argument(
        '--aspp_bot_ch',
        type=positive,
        default=256,
        metavar='C',
        help='channels of each of the five branches of an ASPP',
    )
    group.add_argument(
        '--attnscale_bn_head', action='store_true', help='attnscale networks: the deeper attention head, with norms'
    )
    group.add_argument(
        '--mscale_dropout', action='store_true', help='dropout 0.5 before the last convolution of the attention head'
    )
    group.add_argument('--mscale_no3x3', action='store_true', help='attention head without its inner 3x3 convolution')
    group.add_argument(
        '--mscale_old_arch', action='store_true', help='key names of the oldest attention head, to load old files'
    )
    return group


def _network(parser):
    group = add_network(parser)
    group.add_argument(
        '--pretrained',
        default='none',
        metavar='SOURCE|FILE',
        help=(
            'weights to start from: none, a file, or imagenet, paddle, mapillary, torchvision or timm below'
            ' <assets_path>/seg_weights'
        ),
    )
    group.add_argument('--init_decoder', action='store_true', help='kaiming-initialise the decoder')
    group.add_argument(
        '--freeze_trunk',
        action='store_true',
        help='train the heads only: trunk weights and statistics stay as they are',
    )
    group.add_argument(
        '--summary',
        action='store_true',
        help='print parameters, operations and memory of the network, part by part, and exit',
    )
    group.add_argument(
        '--summary_size',
        type=crop_size,
        metavar='S|H,W',
        help='with --summary: size of the image (default: --crop_size, with --eval 1024,2048)',
    )


def _loss(parser):
    group = parser.add_argument_group('loss')
    group.add_argument(
        '--rmi_loss', action='store_true', help='binary cross-entropy and region mutual information on the main output'
    )
    group.add_argument(
        '--img_wt_loss', action='store_true', help='cross-entropy weighted by the class histogram of each image'
    )
    group.add_argument(
        '-wb', '--wt_bound', type=amount, default=1.0, metavar='W', help='upper bound of the image weights'
    )
    group.add_argument(
        '--batch_weighting', action='store_true', help='one histogram per batch instead of one per image'
    )
    group.add_argument(
        '--loss',
        type=names,
        metavar='LIST',
        help='ce, img_wt, rmi or bce for each output of the network, in order, instead of the switches above',
    )
    group.add_argument(
        '--loss_weights',
        type=numbers(float),
        metavar='LIST',
        help='a weight for each loss of --loss (default: the published weights)',
    )
    group.add_argument(
        '--class_weights',
        metavar='LIST|FILE:KIND',
        help=(
            'a weight for each class in cross-entropy (ce); or those of a verify.json of '
            'datasets.verify, of KIND inverse, balanced or median (default: all alike)'
        ),
    )
    group.add_argument('--ocr_alpha', type=amount, default=0.4, metavar='W', help='weight of the auxiliary output')
    group.add_argument(
        '--ocr_aux_loss_rmi', action='store_true', help='region mutual information on the auxiliary output too'
    )
    group.add_argument(
        '--supervised_mscale_loss_wt', type=amount, default=0.0, metavar='W', help='weight of each single-scale output'
    )


def _optimisation(parser):
    group = parser.add_argument_group('optimisation')
    group.add_argument('--optimizer', default='sgd', choices=('sgd', 'adam', 'adamw', 'radam'), help='update rule')
    group.add_argument('--lr', type=amount, default=0.002, metavar='RATE', help='learning rate at the start')
    group.add_argument('--momentum', type=share, default=0.9, metavar='M', help='of SGD')
    group.add_argument('--weight_decay', type=amount, default=1e-4, metavar='W', help='of every parameter')
    group.add_argument('--amsgrad', action='store_true', help='the AMSGrad variant of Adam')
    group.add_argument(
        '--max_epoch', type=positive, default=180, metavar='E', help='epochs to train, and the horizon of the schedule'
    )
    group.add_argument(
        '--start_epoch', type=count, default=0, metavar='E', help='first epoch; a resumed run knows its own'
    )
    group.add_argument(
        '--lr_schedule', default='poly', choices=('poly', 'poly2', 'scl-poly'), help='course of the learning rate'
    )
    group.add_argument(
        '--lr_step',
        default='epoch',
        choices=('epoch', 'iter'),
        help='move the schedule every epoch, as published, or every step',
    )
    group.add_argument(
        '--poly_exp', type=amount, default=1.0, metavar='P', help='exponent p of the poly schedule (1 - t/T)^p'
    )
    group.add_argument(
        '--poly_step', type=positive, default=110, metavar='E', help='epoch at which poly2 doubles its exponent'
    )
    group.add_argument(
        '--rlx_off_epoch',
        type=int,
        default=-1,
        metavar='E',
        help='epoch at which scl-poly starts its second part; negative: off',
    )
    group.add_argument('--rescale', type=amount, default=1.0, metavar='F', help='factor of the second part of scl-poly')
    group.add_argument(
        '--repoly', type=amount, default=1.5, metavar='P', help='exponent of the second part of scl-poly'
    )
    group.add_argument(
        '--accumulate', type=positive, default=1, metavar='N', help='batches whose gradients are averaged into one step'
    )
    group.add_argument('--clip_grad', type=amount, metavar='NORM', help='largest gradient norm (default: not clipped)')
    group.add_argument(
        '--ema',
        type=share,
        metavar='DECAY',
        help='evaluate and keep an exponential moving average of the weights, for instance 0.999',
    )
    group.add_argument(
        '--max_skipped_steps',
        type=count,
        default=10,
        metavar='N',
        help='steps with a non-finite loss or gradient to skip before stopping',
    )
    group.add_argument(
        '--test_mode', action='store_true', help='two epochs of eleven training and seven validation batches'
    )


def _precision(parser):
    group = parser.add_argument_group('precision and speed')
    group.add_argument(
        '--precision',
        choices=('fp32', 'fp16', 'bf16'),
        help='arithmetic of the network; losses and fusion stay in fp32 (default: fp32)',
    )
    group.add_argument('--fp16', action='store_true', help='the old name of --precision fp16; on a CPU bf16 is used')
    group.add_argument('--compile', action='store_true', help='torch.compile the network: slower start, faster steps')
    group.add_argument(
        '--grad_ckpt',
        action='store_true',
        help=(
            'compute the stages of the trunk again in the backward pass instead of keeping them: less memory, slower'
            ' steps, the same numbers'
        ),
    )
    group.add_argument('--seed', type=count, default=0, metavar='N', help='of weights, epoch lists and augmentation')
    group.add_argument('--deterministic', action='store_true', help='only deterministic GPU kernels')
    group.add_argument('--distributed', action='store_true', help='one process per GPU; implied under torchrun')
    group.add_argument('--syncbn', action='store_true', help='batch statistics over all processes')


def _checkpoints(parser):
    group = parser.add_argument_group('checkpoints')
    group.add_argument(
        '--assets_path', default='assets', metavar='DIR', help='folder of seg_weights/, uniform_centroids/ and data/'
    )
    group.add_argument(
        '--snapshot',
        metavar='FILE',
        help='weights to start from or evaluate; ASSETS_PATH in it stands for --assets_path',
    )
    group.add_argument(
        '--allow_class_mismatch',
        action='store_true',
        help='let --snapshot have another number of classes: its class layers are left out',
    )
    group.add_argument(
        '--snapshot_partial',
        action='store_true',
        help='load what fits of --snapshot by name and shape, at least half of the network',
    )
    group.add_argument('--restore_optimizer', action='store_true', help='take the optimizer state of --snapshot too')
    group.add_argument(
        '--resume',
        metavar='FILE|auto',
        help='continue a run; auto: the last checkpoint of --result_dir, or a fresh start without one',
    )
    group.add_argument(
        '--save_minutes',
        type=amount,
        default=30.0,
        metavar='M',
        help='save within an epoch too when this long has passed',
    )


def _evaluation(parser):
    group = parser.add_argument_group('evaluation')
    group.add_argument(
        '--eval',
        choices=('val', 'trn', 'test', 'folder'),
        help='evaluate this split, or a folder of images, instead of training',
    )
    group.add_argument('--eval_folder', metavar='DIR', help='the images of --eval folder')
    group.add_argument(
        '--val_freq', type=positive, default=1, metavar='E', help='validate every E epochs and after the last'
    )
    group.add_argument(
        '--default_scale', type=number(float, low=0.01), default=1.0, metavar='S', help='scale of the evaluated image'
    )
    group.add_argument(
        '--multi_scale_inference', action='store_true', help='average the logits of --default_scale and --extra_scales'
    )
    group.add_argument(
        '--extra_scales',
        type=numbers(float, minimum=0.01),
        default=(0.5, 2.0),
        metavar='LIST',
        help='the scales beside --default_scale',
    )
    group.add_argument('--do_flip', action='store_true', help='average with the mirrored image')
    group.add_argument('--no_metrics', action='store_true', help='write what is to be dumped and compute no score')


def _output(parser):
    group = parser.add_argument_group('output')
    group.add_argument('--result_dir', default='logs', metavar='DIR', help='the run directory')
    group.add_argument(
        '--log_freq', type=positive, default=10, metavar='N', help='training steps between two log lines'
    )
    group.add_argument(
        '--dump_logits',
        action='store_true',
        help='write logits/<name>_logits.npz, float16 (C, h, w), and logits/manifest.json',
    )
    group.add_argument(
        '--logits_format', default='npz', choices=tuple(FORMATS), help='npz: as published; npy: uncompressed; zst: zstd'
    )
    group.add_argument(
        '--logits_dtype', default='float16', choices=DTYPES, help='int8: 255 steps between the extremes of each class'
    )
    group.add_argument(
        '--logits_stride',
        type=int,
        default=1,
        choices=STRIDES,
        metavar='1|2|4',
        help='average over this many pixels in both directions',
    )
    group.add_argument(
        '--dump_for_submission',
        action='store_true',
        help='write submit/<name>_pred.png (label ids) and _conf.png (uint16)',
    )
    group.add_argument(
        '--dump_for_auto_labelling',
        action='store_true',
        help='write <name>.png (label ids) and <name>_prob.png (uint8)',
    )
    group.add_argument(
        '--dump_assets', action='store_true', help='write attention, error, probability and single-scale pictures'
    )
    group.add_argument(
        '--dump_all_images', action='store_true', help='write the pictures of every image instead of about ten'
    )
    group.add_argument(
        '--dump_topn',
        type=count,
        default=0,
        metavar='N',
        help='show the N worst images of each class on a page of their own',
    )
    group.add_argument(
        '--dump_topn_all',
        action='store_true',
        help='with --dump_topn: write their single-scale and attention pictures too',
    )
    group.add_argument(
        '--dump_augmentation_images',
        action='store_true',
        help='write the first training samples as the network sees them to augmented/',
    )
    group.add_argument('--overwrite', action='store_true', help='write dumps again that are already there')


# Where a flag goes in cfg; sections are separated by two underscores (config.scope).
CFG_KEYS = {
    'assets_path': 'ASSETS_PATH',
    'override_dataset_root': 'DATASET__ROOT',
    'cv': 'DATASET__CV',
    'data_yaml': 'DATASET__DATA_YAML',
    'cache_dir': 'DATASET__CACHE_DIR',
    'ignore_ids': 'DATASET__IGNORE_IDS',
    'class_uniform_pct': 'DATASET__CLASS_UNIFORM_PCT',
    'class_uniform_tile': 'DATASET__CLASS_UNIFORM_TILE',
    'crop_size': 'DATASET__CROP_SIZE',
    'segattn_bot_ch': 'MODEL__SEGATTN_BOT_CH',
    'ocr_aspp': 'MODEL__OCR_ASPP',
    'aspp_bot_ch': 'MODEL__ASPP_BOT_CH',
    'attnscale_bn_head': 'MODEL__ATTNSCALE_BN_HEAD',
    'mscale_lo_scale': 'MODEL__MSCALE_LO_SCALE',
    'mscale_dropout': 'MODEL__MSCALE_DROPOUT',
    'mscale_old_arch': 'MODEL__MSCALE_OLD_ARCH',
    'init_decoder': 'MODEL__INIT_DECODER',
    'ocr_mid_channels': 'MODEL__OCR__MID_CHANNELS',
    'ocr_key_channels': 'MODEL__OCR__KEY_CHANNELS',
    'ocr_alpha': 'LOSS__OCR_ALPHA',
    'ocr_aux_loss_rmi': 'LOSS__OCR_AUX_RMI',
    'supervised_mscale_loss_wt': 'LOSS__SUPERVISED_MSCALE_WT',
    **coarse_flags.CFG_KEYS,
}

# What describes the network in a checkpoint, so that the file alone is enough to build it again.
NETWORK_FLAGS = (
    'arch',
    'trunk',
    'align_corners',
    'mscale_lo_scale',
    'segattn_bot_ch',
    'ocr_mid_channels',
    'ocr_key_channels',
    'ocr_aspp',
    'aspp_bot_ch',
    'attnscale_bn_head',
    'mscale_dropout',
    'mscale_no3x3',
    'mscale_old_arch',
)
DEFAULT_ARCH = 'ocrnet.HRNet_Mscale'


def as_cfg(values):
    """Flags (a dict: all of them, or the entry `network` of a checkpoint) as values for config.scope."""
    known = {key: values[flag] for flag, key in CFG_KEYS.items() if values.get(flag) is not None}
    return {**known, 'MODEL__MSCALE_INNER_3x3': not values.get('mscale_no3x3')}


def network_flags(args):
    """The part of the flags that describes the network, for the checkpoint; scales only where they shape the head."""
    scales = {'n_scales': args.n_scales} if args.n_scales and args.arch.startswith('attnscale.') else {}
    return {**{name: getattr(args, name) for name in NETWORK_FLAGS}, **scales}


# What may differ between the parts of a run without changing a number.
_HARMLESS = {
    'config',
    'debug',
    'given',
    'source',
    'resume',
    'result_dir',
    'assets_path',
    'override_dataset_root',
    'num_workers',
    'log_freq',
    'save_minutes',
    'dump_augmentation_images',
    'bs_val',
    'n_scales',
    'val_freq',
    'max_skipped_steps',
    'distributed',
    'fp16',
    'arch',
    'trunk',
    'snapshot',
    'pretrained',
    'start_epoch',
    'cache_dir',
    'grad_ckpt',
    'skip_verify',
    'allow_class_mismatch',
    'snapshot_partial',
    'restore_optimizer',
}


def changed_since(args, state):
    """The flags whose values differ from those of the run that wrote `state`, as '--flag new (was old)'."""
    before = state.get('args') or {}
    return [
        f'--{name} {value} (was {before[name]})'
        for name, value in vars(args).items()
        if name in before and name not in _HARMLESS and before[name] != value
    ]


def check_same_steps(args, state, world):
    """Raise ValueError when a run that stopped within an epoch is resumed with steps of another size."""
    before = state.get('args') or {}
    changed = [
        f'--{name} {getattr(args, name)} (was {before[name]})'
        for name in ('bs_trn', 'accumulate', 'test_mode', 'quality', 'coarse_portion')
        if name in before and before[name] != getattr(args, name)
    ]
    if state.get('rng') and len(state['rng']) != world:
        changed.append(f'{world} processes (were {len(state["rng"])})')
    if changed:
        raise ValueError(
            '--resume: the run stopped within an epoch, which can only go on in steps of the same size, found'
            f' {", ".join(changed)}; resume with the old values, change them after the epoch'
        )


# Beside the weights and the network flags, what decides the values of a dump.
_DUMP_FLAGS = (
    'dataset',
    'pre_size',
    'crop_val',
    'n_scales',
    'default_scale',
    'multi_scale_inference',
    'do_flip',
    'precision',
)


def dump_settings(args):
    """What decides the values that an evaluation writes, for telling dumps of other settings apart."""
    settings = {name: getattr(args, name) for name in (*NETWORK_FLAGS, *_DUMP_FLAGS)}
    folder = args.eval_folder and str(Path(args.eval_folder).resolve())
    described = {'data_yaml': sha256(Path(args.data_yaml).expanduser())} if args.data_yaml else {}
    return {
        **settings,
        **described,
        'eval_folder': folder,
        'extra_scales': args.extra_scales if args.multi_scale_inference else None,
    }


# Flags that only mean something beside another one.
_NEEDS = {
    'extra_scales': 'multi_scale_inference',
    'wt_bound': 'img_wt_loss',
    'batch_weighting': 'img_wt_loss',
    'no_metrics': 'eval',
    'overwrite': 'eval',
    'logits_format': 'dump_logits',
    'logits_dtype': 'dump_logits',
    'logits_stride': 'dump_logits',
}


def _of_training():
    """The flags that nothing but a training reads: three groups of the help, and some of other groups."""
    groups = {group.title: {action.dest for action in group._group_actions} for group in build_parser()._action_groups}
    some = {
        'class_uniform_pct',
        'class_uniform_tile',
        'cache_dir',
        'skip_verify',
        'bs_trn',
        'freeze_trunk',
        'grad_ckpt',
        'dump_augmentation_images',
    }
    return (groups['augmentation'] | groups['loss'] | groups['optimisation'] | some) - {
        'pre_size',
        'crop_val',
        'test_mode',
    }


def unread(args):
    """A sentence for every given flag that nothing reads because another one is missing."""
    lines = [
        f'--{name} has no effect without --{needed}'
        for name, needed in _NEEDS.items()
        if name in args.given and not getattr(args, needed)
    ]
    of_training = [f'--{name}' for name in args.given if name in _of_training()] if args.eval else []
    if of_training:
        lines.append(f'{", ".join(of_training)}: no effect with --eval')
    if args.override_dataset_root and args.dataset == 'custom':
        lines.append(
            '--override_dataset_root has no effect with --dataset custom: root in the file of --data_yaml says where'
            ' the images are'
        )
    lines += coarse_flags.unread_coarse(args)
    if args.pretrained != 'none' and (args.snapshot or args.resume not in (None, 'auto')):
        lines.append('--pretrained has no effect: the checkpoint holds the trunk too')
    return lines


def adopt_network(args, state, log):
    """Take the network flags that were not given from a checkpoint's state; fill in the default network without one."""
    stored = dict((state or {}).get('network') or {})
    if state and isinstance(state.get('arch'), str):
        stored.setdefault('arch', state['arch'])
    if state and stored.get('trunk') is None and isinstance(state.get('trunk'), str):
        stored['trunk'] = state['trunk']
    for name in (*NETWORK_FLAGS, 'n_scales'):
        if stored.get(name) is None or stored[name] == getattr(args, name):
            continue
        if name not in args.given:
            log(f'--{name} {stored[name]}: taken from the checkpoint')
            setattr(args, name, stored[name])
        # --resume auto that has nothing to continue starts from the snapshot
        elif args.resume and not args.snapshot:
            raise ValueError(
                f'--{name} {getattr(args, name)}: the run to resume has {name} {stored[name]}; '
                'leave the flag out, or start a new run with --snapshot'
            )
    args.arch = args.arch or DEFAULT_ARCH


def check(args):
    """Raise ValueError for flags that contradict each other; fill in what follows from others."""
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
    if args.ema is not None and not 0 < args.ema < 1:
        raise ValueError(
            f'--ema {args.ema}: expected a decay between 0 and 1, such as 0.999; leave the flag out for none'
        )
    for flag, needed in (
        ('restore_optimizer', 'snapshot'),
        ('allow_class_mismatch', 'snapshot'),
        ('snapshot_partial', 'snapshot'),
        ('dump_topn_all', 'dump_topn'),
        ('crop_val', 'pre_size'),
        ('summary_size', 'summary'),
    ):
        if getattr(args, flag) and not getattr(args, needed):
            raise ValueError(f'--{flag} needs --{needed}')
    dumps = [
        f'--{name}'
        for name in vars(args)
        if name.startswith('dump_') and name != 'dump_augmentation_images' and getattr(args, name)
    ]
    if dumps and not args.eval:
        raise ValueError(f'{", ".join(dumps)}: dumps are written by an evaluation; add --eval val, trn or folder')
    if args.dump_topn and (args.no_metrics or args.eval in ('folder', 'test')):
        raise ValueError(
            '--dump_topn ranks images by their errors and needs labels; evaluate val or trn and leave out --no_metrics'
        )
    coarse_flags.check_coarse(args)
    if args.loss_weights and not args.loss:
        raise ValueError('--loss_weights needs --loss, the losses that the weights belong to')
    if args.loss and (args.rmi_loss or args.img_wt_loss):
        raise ValueError('--loss and --rmi_loss or --img_wt_loss were both given; give one')
    if args.fp16 and args.precision not in (None, 'fp16'):
        raise ValueError(f'--fp16 and --precision {args.precision} contradict each other; give one')
    args.precision = args.precision or ('fp16' if args.fp16 else 'fp32')
    if args.test_mode:
        args.max_epoch = 2
    if args.snapshot:
        args.snapshot = args.snapshot.replace('ASSETS_PATH', args.assets_path)
    return args
