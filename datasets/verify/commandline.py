"""Command line of `python -m datasets.verify`: read, and written for a person to run."""

import shlex
import sys

from config import cfg
from datasets.registry import dataset_names
from utils.cli import coarse_flags, flags
from utils.cli.parser import Parser, names, positive


def build_parser():
    """The parser of the whole command line."""
    parser = Parser(
        prog='python -m datasets.verify',
        description='Read every file of a dataset once, say what is wrong, and write a page about it.',
    )
    parser.add_argument(
        '--config', metavar='FILE', help='YAML file of flag: value lines, used as defaults under the flags given here'
    )
    flags.add_dataset(parser, dataset_names())
    coarse_flags.add_coarse(parser)
    group = parser.add_argument_group('verification')
    group.add_argument(
        '--splits', type=names, default=(), metavar='LIST', help='comma list of splits to read (default: train,val)'
    )
    group.add_argument(
        '--workers', type=positive, metavar='N', help='threads (default: as many as there are usable cores)'
    )
    group.add_argument(
        '--out', metavar='DIR', help='folder of verify.json and index.html (default: <assets_path>/verify/<dataset>)'
    )
    group.add_argument('--assets_path', default='assets', metavar='DIR', help='folder of verify/ and data/')
    return parser


def parse_args(argv=None):
    """The flags; ValueError for a mistake."""
    args = build_parser().parse_all(sys.argv[1:] if argv is None else argv)
    args.class_uniform_pct = cfg.DATASET.CLASS_UNIFORM_PCT  # nothing is drawn here
    coarse_flags.check_coarse(args)
    return args


def command(name: str) -> str:
    """What to paste into a terminal to verify dataset `name` as cfg describes it: every flag whose value is not the
    default."""
    parser, parts = build_parser(), ['python', '-m', 'datasets.verify', '--dataset', name]
    for flag, key in flags.CFG_KEYS.items():
        action = next((action for action in parser._actions if action.dest == flag), None)
        section, _, entry = key.rpartition('__')
        value = (cfg[section] if section else cfg)[entry] if action else None
        if value in (None, '', ()) or value == action.default:
            continue
        parts += (
            [f'--{flag}']
            if value is True
            else [f'--{flag}', ','.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)]
        )
    return shlex.join(parts)
