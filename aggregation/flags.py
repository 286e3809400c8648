"""Flags of ensemble.py: those of its own commands, and those that several commands share.

Every function declares flags in the parser that it is given.
"""

from aggregation.fusion.pooling import KINDS
from aggregation.fusion.scores import FUSIONS, PUBLISHED_LABELS, PUBLISHED_SCORES, SCORES
from aggregation.statistics.calibration import METHODS
from utils.settings import SETTINGS
from utils.settings.value_types import count, names, processes, resamplings


def check(parser):
    parser.add_argument('folders', nargs='+', metavar='DIR', help='folders of logits')
    parser.add_argument('--json', metavar='FILE', help='write what was found')
    threads(parser)


def members(parser):
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
    weights(parser)
    parser.add_argument(
        '--allow_missing',
        action='store_true',
        help='fuse the members that an image has; which were missing is recorded',
    )
    threads(parser)


def weights(parser):
    parser.add_argument(
        '--weights',
        metavar='LIST|FILE',
        help=(
            'a weight per member, in the same order, or a JSON file with a list of numbers, '
            'each one number or a list of one per class (default: all alike)'
        ),
    )


def fusion(parser):
    parser.add_argument('--fusion', default='mean', metavar='NAME', help=f'what labels come from: {", ".join(FUSIONS)}')
    parser.add_argument(
        '--score', default='msp', metavar='NAME', help=f'what the confidence comes from: {", ".join(SCORES)}'
    )
    parser.add_argument('--label_function', choices=tuple(PUBLISHED_LABELS), help='the published name of --fusion')
    parser.add_argument(
        '--score_function',
        choices=tuple(PUBLISHED_SCORES),
        metavar='NAME',
        help=f'the published name of --score: {", ".join(PUBLISHED_SCORES)}',
    )


def calibration(parser):
    parser.add_argument(
        '--calibration', metavar='FILE', help='calibrate the confidence with what ensemble.py calibrate wrote'
    )


def results(parser):
    calibration(parser)
    parser.add_argument(
        '--out', '--out_path', metavar='DIR', help='where <stem>_pred.png, <stem>_conf.png and fusion.json go'
    )
    parser.add_argument(
        '--write_scores',
        type=names,
        default=(),
        metavar='LIST',
        help=f'scores to write as <stem>_<score>.npz, float16, high where anomalous: {", ".join(SCORES)}',
    )
    parser.add_argument('--change_labels', action='store_true', help='let a vector calibration change labels too')
    parser.add_argument(
        '--overwrite', action='store_true', help='make the results in --out again, also those of other settings'
    )


def fuse(parser):
    members(parser)
    fusion(parser)
    results(parser)
    share(parser, ('strict',))
    parser.add_argument(
        '--prefix',
        metavar='PATH',
        help=(
            'put this before the path of every image (default: the BRAVO folder that all folders lie in, else nothing)'
        ),
    )


# Settings of train.py that a command shares, and what it declares otherwise.
_DATA = ('dataset', 'data_yaml', 'override_dataset_root', 'assets_path', 'cv', 'max_pixels')
_FORWARD = (
    'eval_folder',
    'n_scales',
    'do_flip',
    'flip_kind',
    'crop_eval',
    'crop_overlap',
    'precision',
    'num_workers',
    'strict',
)
_CHANGES = {
    'dataset': {'default': None, 'help': 'dataset with the labels (default: the one of the manifests)'},
    'assets_path': {'help': 'folder of data/'},
    'cv': {'help': 'which cross-validation fold is the validation set'},
    'eval_folder': {'help': 'run on the images of this folder instead of a split'},
    'n_scales': {'help': 'scales of hierarchical inference for members that have it, as in 0.5,1.0,2.0'},
    'do_flip': {'help': 'average every member with the mirrored image'},
    'precision': {'help': 'arithmetic of the networks'},
    'num_workers': {'help': 'loader processes (default: as many as there are usable cores, at most 2)'},
}


def share(parser, names):
    for name in names:
        SETTINGS[name].add_to(parser, **_CHANGES.get(name, {}))


def data(parser):
    share(parser, _DATA)
    parser.add_argument('--split', default='val', choices=('train', 'val', 'test'), help='which part of it')


def run(parser):
    parser.add_argument(
        'checkpoints', nargs='+', metavar='CKPT|DIR', help='checkpoints of train.py or run directories, one per member'
    )
    data(parser)
    share(parser, _FORWARD)
    weights(parser)
    fusion(parser)
    results(parser)


def labelled(parser):
    members(parser)
    fusion(parser)
    data(parser)
    share(parser, ('strict',))


def calibrate(parser):
    labelled(parser)
    parser.add_argument('--method', default='temperature', choices=tuple(METHODS), help='form of the calibration')
    parser.add_argument('--out', metavar='FILE', help='file to write')


def report(parser):
    labelled(parser)
    calibration(parser)
    parser.add_argument('--out', metavar='DIR', help='folder of index.html and report.json')
    parser.add_argument('--worst', type=count, default=12, metavar='N', help='images with the most errors to show')


def evaluation(parser):
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='write the scores, under the official keys of the benchmark; with --bootstrap, intervals besides',
    )
    parser.add_argument('--page', metavar='FILE', help='write a page with tables')
    parser.add_argument(
        '--bootstrap', type=resamplings, default=0, metavar='N', help='95 %% intervals from N resamplings of the images'
    )
    threads(parser)


def submission(parser, images: str):
    """images: the help of --images."""
    parser.add_argument(
        'predictions',
        metavar='DIR',
        help='what ensemble.py fuse or run wrote, or PNGs of the same names; a folder or a tar',
    )
    parser.add_argument('out', metavar='OUT', help='what to write')
    parser.add_argument(
        '--allow_missing', action='store_true', help='leave out missing images; the server refuses such a submission'
    )
    parser.add_argument('--images', metavar='PATH', help=images)
    share(parser, ('strict',))


def threads(parser):
    parser.add_argument(
        '--num_workers',
        type=processes,
        default=2,
        metavar='N',
        help='threads that read files; results do not depend on it',
    )
