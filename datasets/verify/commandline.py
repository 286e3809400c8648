"""Command line of `python -m datasets.verify`: read, and written for a person to run."""

import shlex
import sys

import config
from datasets.registry import dataset_names
from utils.cli import flags
from utils.cli.parser import Parser
from utils.settings import SETTINGS
from utils.settings.coarse import GROUP as COARSE
from utils.settings.retired import OF_VERIFICATION
from utils.settings.value_types import names, processes

DATA = (
    'dataset',
    'data_yaml',
    'override_dataset_root',
    'cv',
    'max_pixels',
    'ignore_ids',
    'in_channels',
    'value_range',
)
SHARED = ('config', 'assets_path', *DATA, *SETTINGS.of_group(COARSE))  # settings of train.py that stand here too
ASSETS = {'group': '', 'help': 'folder of verify/ and data/'}


def build_parser():
    """The parser of the whole command line."""
    parser = Parser(
        prog='python -m datasets.verify',
        description='Read every file of a dataset once, say what is wrong, and write a page about it.',
        retired=OF_VERIFICATION,
    )
    SETTINGS.add_to(parser, SHARED, dataset=flags.with_names(dataset_names()), assets_path=ASSETS)
    group = parser.add_argument_group('verification')
    group.add_argument(
        '--splits', type=names, default=(), metavar='LIST', help='comma list of splits to read (default: train,val)'
    )
    group.add_argument(
        '--workers', type=processes, metavar='N', help='threads (default: as many as there are usable cores)'
    )
    group.add_argument(
        '--out',
        metavar='DIR',
        help='folder of verify.json and index.html (default: <assets_path>/verify/<dataset>; custom_streets for'
        ' streets.yaml)',
    )
    return parser


def parse_args(argv=None):
    """The flags; ValueError for a mistake."""
    args = build_parser().parse_all(sys.argv[1:] if argv is None else argv)
    flags.check_coarse(args)
    SETTINGS.check_needs(args)
    return args


def command(name: str) -> str:
    """What to paste into a terminal to verify dataset `name` as cfg describes it: every flag whose value is not the
    default."""
    name = 'custom' if config.cfg.DATASET.DATA_YAML else name
    parts = ['python', '-m', 'datasets.verify', '--dataset', name]
    for flag, value in SETTINGS.from_tree(config.as_dict()).items():
        if flag in SHARED and value not in (None, '', (), SETTINGS[flag].default):
            parts += SETTINGS[flag].words(value)
    return shlex.join(parts)
