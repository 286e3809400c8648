"""Flags of ensemble.py: those of its own commands, and those that several commands share.

Every function declares flags in the parser that it is given, in groups whose titles are its help's table of contents.
"""

from aggregation.fusion.names import FUSIONS, KINDS, METHODS, PUBLISHED_LABELS, PUBLISHED_SCORES, SCORES
from utils.settings import SETTINGS
from utils.settings.value_types import count, names, processes, resamplings


def section(parser, title: str):
    """The group of a parser's flags with this title, a new one where there is none."""
    found = [group for group in parser._action_groups if group.title == title]
    return found[0] if found else parser.add_argument_group(title)


def check(parser):
    section(parser, 'members').add_argument('folders', nargs='+', metavar='DIR', help='folders of logits')
    section(parser, 'output').add_argument('--json', metavar='FILE', help='write what was found')
    threads(parser)


def members(parser):
    group = section(parser, 'members')
    group.add_argument(
        'folders',
        nargs='+',
        metavar='DIR',
        help='one folder of logits per member, below which the paths of the images coincide',
    )
    group.add_argument(
        '--kind',
        type=names,
        metavar='LIST',
        help=f'kind of each folder, in the same order, over what manifests say: {", ".join(KINDS)}',
    )
    weights(parser)
    group.add_argument(
        '--allow_missing',
        action='store_true',
        help='fuse the members that an image has; which were missing is recorded',
    )
    threads(parser)


def weights(parser):
    section(parser, 'members').add_argument(
        '--weights',
        metavar='LIST|FILE',
        help=(
            'a weight per member, in the same order, or a JSON file with a list of numbers, '
            'each one number or a list of one per class (default: all alike)'
        ),
    )


def fusion(parser):
    group = section(parser, 'fusion')
    group.add_argument('--fusion', default='mean', metavar='NAME', help=f'what labels come from: {", ".join(FUSIONS)}')
    group.add_argument(
        '--score', default='msp', metavar='NAME', help=f'what the confidence comes from: {", ".join(SCORES)}'
    )
    group.add_argument('--label_function', choices=tuple(PUBLISHED_LABELS), help='the published name of --fusion')
    group.add_argument(
        '--score_function',
        choices=tuple(PUBLISHED_SCORES),
        metavar='NAME',
        help=f'the published name of --score: {", ".join(PUBLISHED_SCORES)}',
    )


def calibration(parser):
    section(parser, 'fusion').add_argument(
        '--calibration', metavar='FILE', help='calibrate the confidence with what ensemble.py calibrate wrote'
    )


def results(parser):
    calibration(parser)
    group = section(parser, 'output')
    group.add_argument(
        '--out', '--out_path', metavar='DIR', help='where <stem>_pred.png, <stem>_conf.png and fusion.json go'
    )
    group.add_argument(
        '--write_scores',
        type=names,
        default=(),
        metavar='LIST',
        help=f'scores to write as <stem>_<score>.npz, float16, high where anomalous: {", ".join(SCORES)}',
    )
    section(parser, 'fusion').add_argument(
        '--change_labels', action='store_true', help='let a vector calibration change labels too'
    )
    group.add_argument(
        '--overwrite', action='store_true', help='make the results in --out again, also those of other settings'
    )


def fuse(parser):
    members(parser)
    fusion(parser)
    results(parser)
    share(parser, ('strict',))
    section(parser, 'output').add_argument(
        '--prefix',
        metavar='PATH',
        help=(
            'put this before the path of every image (default: the BRAVO folder that all folders lie in, else nothing)'
        ),
    )


# Settings of train.py that a command shares, and what it declares otherwise.
_DATA = ('dataset', 'data_yaml', 'override_dataset_root', 'assets_path', 'cv', 'max_pixels')
_FORWARD = ('n_scales', 'do_flip', 'flip_kind', 'pre_size', 'crop_eval', 'crop_overlap', 'precision')
_SPEED = 'files and processes'
_CHANGES = {
    'dataset': {'default': None, 'help': 'dataset with the labels (default: the one of the manifests)'},
    'assets_path': {'help': 'folder of data/'},
    'cv': {'help': 'which cross-validation fold is the validation set'},
    'eval_folder': {'help': 'run on the images of this folder instead of a split'},
    'n_scales': {'help': 'scales of hierarchical inference for members that have it, as in 0.5,1.0,2.0'},
    'do_flip': {'help': 'average every member with the mirrored image'},
    'pre_size': {'help': 'resize the long edge to this for the networks (default: as the members were tested)'},
    'precision': {'help': 'arithmetic of the networks'},
    'num_workers': {'help': 'loader processes (default: as many as there are usable cores, at most 2)'},
}


def share(parser, names, title=_SPEED):
    for name in names:
        SETTINGS[name].add_to(section(parser, title), **_CHANGES.get(name, {}))


def data(parser):
    share(parser, _DATA, 'data')
    section(parser, 'data').add_argument(
        '--split', default='val', choices=('train', 'val', 'test'), help='which part of it'
    )


def run(parser):
    section(parser, 'members').add_argument(
        'checkpoints', nargs='+', metavar='CKPT|DIR', help='checkpoints of train.py or run directories, one per member'
    )
    data(parser)
    share(parser, ('eval_folder',), 'data')
    share(parser, _FORWARD, 'networks')
    share(parser, ('num_workers', 'strict'))
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
    section(parser, 'fusion').add_argument(
        '--method', default='temperature', choices=METHODS, help='form of the calibration'
    )
    section(parser, 'output').add_argument('--out', metavar='FILE', help='file to write')


def report(parser):
    labelled(parser)
    calibration(parser)
    group = section(parser, 'output')
    group.add_argument('--out', metavar='DIR', help='folder of index.html and report.json')
    group.add_argument('--worst', type=count, default=12, metavar='N', help='images with the most errors to show')


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
    section(parser, _SPEED).add_argument(
        '--num_workers',
        type=processes,
        default=2,
        metavar='N',
        help='threads that read files; results do not depend on it',
    )
