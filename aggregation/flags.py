"""The flags of ensemble.py, one parser per command. A mistake is a ValueError of one sentence."""

from aggregation.benchmarks import smiyc, smiyc_submission
from aggregation.fusion import score_files
from aggregation.fusion.kinds import KINDS
from aggregation.fusion.scores import FUSIONS, PUBLISHED_LABELS, PUBLISHED_SCORES, SCORES
from aggregation.statistics import calibration
from utils.cli.flags import with_values
from utils.cli.parser import Parser
from utils.settings import SETTINGS
from utils.settings.value_types import count, crop_size, names, positive

COMMANDS = {
    'check': 'verify folders of stored logits against their manifests',
    'fuse': 'make labels, confidences and scores of stored logits',
    'run': 'the same straight from checkpoints, without writing logits',
    'calibrate': 'fit a calibration of the fused confidence on a labelled split',
    'report': 'members, leave-one-out, disagreement, reliability and worst images, as a page',
    'eval bravo': 'score a BRAVO submission against ground truth',
    'eval cityscapes': 'score label-id PNGs as the Cityscapes benchmark does',
    'eval ood': 'score anomaly maps against masks, by pixel and by component',
    'submit bravo': 'encode predictions for the BRAVO server',
    'submit cityscapes': 'write label-id PNGs for the Cityscapes server',
    'submit smiyc': 'write score maps for the SegmentMeIfYouCan suite',
    'diff': 'compare two submissions image by image',
}


def make(command: str) -> Parser:
    """The parser of one of COMMANDS."""
    parser = Parser(prog=f'ensemble.py {command}', description=COMMANDS[command])
    SETTINGS.add_to(parser, SETTINGS.of_group(''))
    _ADD[command](parser)
    return parser


def _check(parser):
    parser.add_argument('folders', nargs='+', metavar='DIR', help='folders of logits')
    parser.add_argument('--json', metavar='FILE', help='write what was found')
    _threads(parser)


def _members(parser):
    parser.add_argument(
        'folders',
        nargs='+',
        metavar='DIR',
        help='one folder of logits per member, below which the paths of the images coincide',
    )
    parser.add_argument(
        '--kind',
        type=names,
        metavar='LIST',
        help=f'kind of each folder, in the same order, over what manifests say: {", ".join(KINDS)}',
    )
    _weights(parser)
    parser.add_argument(
        '--allow_missing',
        action='store_true',
        help='fuse the members that an image has; which were missing is recorded',
    )
    _threads(parser)


def _weights(parser):
    parser.add_argument(
        '--weights',
        metavar='LIST|FILE',
        help=(
            'a weight per member, in the same order, or a JSON file with a list of numbers, '
            'each one number or a list of one per class (default: all alike)'
        ),
    )


def _fusion(parser):
    parser.add_argument('--fusion', default='mean', metavar='NAME', help=f'what labels come from: {", ".join(FUSIONS)}')
    parser.add_argument(
        '--score', default='msp', metavar='NAME', help=f'what the confidence comes from: {", ".join(SCORES)}'
    )
    parser.add_argument('--label_function', choices=tuple(PUBLISHED_LABELS), help='the published name of --fusion')
    parser.add_argument('--score_function', choices=tuple(PUBLISHED_SCORES), help='the published name of --score')


def _calibration(parser):
    parser.add_argument(
        '--calibration', metavar='FILE', help='calibrate the confidence with what ensemble.py calibrate wrote'
    )


def _results(parser):
    _calibration(parser)
    parser.add_argument(
        '--out', '--out_path', metavar='DIR', help='where <stem>_pred.png, <stem>_conf.png and fusion.json go'
    )
    parser.add_argument(
        '--write_scores',
        type=names,
        default=(),
        metavar='LIST',
        help='scores to write as <stem>_<score>.npz, float16, high where anomalous',
    )
    parser.add_argument('--change_labels', action='store_true', help='let a vector calibration change labels too')
    parser.add_argument(
        '--overwrite', action='store_true', help='make the results in --out again, also those of other settings'
    )


def _fuse(parser):
    _members(parser)
    _fusion(parser)
    _results(parser)
    parser.add_argument(
        '--prefix',
        metavar='PATH',
        help=(
            'put this before the path of every image (default: the BRAVO folder that all folders lie in, else nothing)'
        ),
    )


# Settings of train.py that a command shares, and what it declares otherwise.
_DATA = ('dataset', 'data_yaml', 'override_dataset_root', 'assets_path', 'cv')
_FORWARD = ('eval_folder', 'n_scales', 'do_flip', 'precision', 'num_workers')
_CHANGES = {
    'dataset': {'default': None, 'help': 'dataset with the labels (default: the one of the manifests)'},
    'assets_path': {'help': 'folder of data/'},
    'cv': {'help': 'which cross-validation fold is the validation set'},
    'eval_folder': {'help': 'run on the images of this folder instead of a split'},
    'n_scales': {'help': 'scales of hierarchical inference for members that have it, as in 0.5,1.0,2.0'},
    'do_flip': {'help': 'average every member with the mirrored image'},
    'precision': {'help': 'arithmetic of the networks'},
    'num_workers': {'default': 2, 'help': 'loader processes'},
}


def _share(parser, names):
    for name in names:
        SETTINGS[name].add_to(parser, **_CHANGES.get(name, {}))


def _data(parser):
    _share(parser, _DATA)
    parser.add_argument('--split', default='val', choices=('train', 'val', 'test'), help='which part of it')


def _run(parser):
    parser.add_argument('checkpoints', nargs='+', metavar='CKPT', help='checkpoints of train.py, one per member')
    _data(parser)
    _share(parser, _FORWARD)
    _weights(parser)
    _fusion(parser)
    _results(parser)


def _labelled(parser):
    _members(parser)
    _fusion(parser)
    _data(parser)


def _calibrate(parser):
    _labelled(parser)
    parser.add_argument(
        '--method', default='temperature', choices=tuple(calibration.METHODS), help='form of the calibration'
    )
    parser.add_argument('--out', metavar='FILE', help='file to write')


def _report(parser):
    _labelled(parser)
    _calibration(parser)
    parser.add_argument('--out', metavar='DIR', help='folder of index.html and report.json')
    parser.add_argument('--worst', type=count, default=12, metavar='N', help='images with the most errors to show')


def _eval_bravo(parser):
    parser.add_argument('--gt', metavar='TAR|DIR', help='ground truth and invalid masks')
    parser.add_argument('--submission', metavar='TAR|DIR', help='encoded archive, or prediction and confidence PNGs')
    parser.add_argument(
        '--samples', metavar='TAR|DIR', help='sampling archive (default: the same samples, drawn from the ground truth)'
    )
    _scores(parser)


def _eval_cityscapes(parser):
    parser.add_argument(
        '--gt',
        metavar='DIR',
        help='folder with *_gtFine_labelIds.png, and *_gtFine_instanceIds.png for instance-weighted scores',
    )
    parser.add_argument('--pred', metavar='DIR', help='label-id PNGs named <city>_<number>_<number>*.png')
    _scores(parser)


def _eval_ood(parser):
    parser.add_argument('--gt', metavar='DIR', help='masks *_labels_semantic.png: 0 known, 1 anomaly, else void')
    parser.add_argument('--scores', metavar='DIR', help='maps *_<score>.npz, .npy, .hdf5, or *_conf.png')
    parser.add_argument('--score', metavar='NAME', help="which map when there are several; 'confidence' for *_conf.png")
    parser.add_argument(
        '--track', choices=tuple(smiyc.TRACKS), help='add the SegmentMeIfYouCan pixel and component scores'
    )
    parser.add_argument(
        '--exact', action='store_true', help='keep every score in memory instead of a histogram of 2^20 levels'
    )
    _scores(parser)


def _scores(parser):
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write the scores, under the official keys of the benchmark; with --bootstrap, intervals besides',
    )
    parser.add_argument('--page', metavar='FILE', help='write a page with tables')
    parser.add_argument(
        '--bootstrap', type=count, default=0, metavar='N', help='95 %% intervals from N resamplings of the images'
    )
    _threads(parser)


def _submit(parser):
    parser.add_argument(
        'predictions',
        metavar='DIR',
        help='what ensemble.py fuse or run wrote, or PNGs of the same names; a folder or a tar',
    )
    parser.add_argument('out', metavar='OUT', help='what to write')
    parser.add_argument(
        '--allow_missing', action='store_true', help='leave out missing images; the server refuses such a submission'
    )


def _submit_bravo(parser):
    _submit(parser)
    parser.add_argument(
        '--samples', metavar='TAR|DIR', help='bravo_SAMPLING.tar, which also says what images there must be'
    )
    parser.add_argument(
        '--images',
        metavar='PATH',
        help=(
            'folder or archive of the images or their ground truth, whose sizes predictions must have, or a '
            'list of names or the manifest.json of a dump; without --samples it says what images there must be '
            '(default: sizes that differ within a subset are noted)'
        ),
    )


def _submit_cityscapes(parser):
    _submit(parser)
    parser.add_argument(
        '--images',
        metavar='PATH',
        help=(
            'what names the images that there must be: a folder or archive of images or ground truth, '
            'a list of names (.txt), or the manifest.json of a dump (default: any)'
        ),
    )
    parser.add_argument('--ids', default='train', choices=('train', 'label'), help='what the predictions hold')
    parser.add_argument(
        '--size', type=crop_size, default=(1024, 2048), metavar='H,W', help='size that every image must have, in pixels'
    )


def _submit_smiyc(parser):
    _submit(parser)
    parser.add_argument(
        '--images',
        metavar='PATH',
        help=(
            'folder or archive of the frames that there must be, or of their masks, whose sizes the maps must '
            'have, or a list of names or the manifest.json of a dump (default: any, of any size)'
        ),
    )
    parser.add_argument('--method', metavar='NAME', help='name of the method, a folder')
    parser.add_argument(
        '--track_dataset',
        default=smiyc_submission.DATASETS[0],
        choices=smiyc_submission.DATASETS,
        help='which set the frames are of',
    )
    parser.add_argument('--score', metavar='NAME', help='which map when there are several')
    parser.add_argument(
        '--format',
        default='hdf5',
        choices=smiyc_submission.FORMATS,
        help=f'HDF5 as published, or .npz (key {score_files.KEY})',
    )


def _diff(parser):
    parser.add_argument('first', metavar='A', help='submission, or score maps: folder, tar or zip')
    parser.add_argument('second', metavar='B', help='another of the same kind')
    parser.add_argument('--json', metavar='FILE', help='write the differences of every image')


def _threads(parser):
    parser.add_argument(
        '--num_workers',
        type=positive,
        default=2,
        metavar='N',
        help='threads that read files; results do not depend on it',
    )


_ADD = {
    'check': _check,
    'fuse': _fuse,
    'run': _run,
    'calibrate': _calibrate,
    'report': _report,
    'eval bravo': _eval_bravo,
    'eval cityscapes': _eval_cityscapes,
    'eval ood': _eval_ood,
    'submit bravo': _submit_bravo,
    'submit cityscapes': _submit_cityscapes,
    'submit smiyc': _submit_smiyc,
    'diff': _diff,
}
# Flags that a command cannot do without.
REQUIRED = {
    'fuse': ['out'],
    'run': ['out', 'dataset'],
    'calibrate': ['out'],
    'report': ['out'],
    'eval bravo': ['gt', 'submission'],
    'eval cityscapes': ['gt', 'pred'],
    'eval ood': ['gt', 'scores'],
    'submit smiyc': ['method'],
}


def parse(command: str, argv) -> object:
    """The flags of `command` as a namespace, with the published names translated. Raises ValueError."""
    args = make(command).parse_all(argv)
    for name in REQUIRED.get(command, ()):
        if not getattr(args, name):
            raise ValueError(f'ensemble.py {command} needs --{name}; see ensemble.py {command} --help')
    for published, ours, table in (
        ('label_function', 'fusion', PUBLISHED_LABELS),
        ('score_function', 'score', PUBLISHED_SCORES),
    ):
        name = getattr(args, published, None)
        if name and ours in args.given:
            raise ValueError(f'--{published} {name} and --{ours} {getattr(args, ours)} say the same thing; give one')
        if name:
            args = with_values(args, **{ours: table[name]})
    return args
