"""`python -m datasets.prepare NAME --root ROOT`: makes a downloaded data set readable for train.py, or renders one."""

import sys
from functools import partial
from importlib import import_module
from pkgutil import iter_modules

from datasets import prepare as room
from datasets.loading.formats import limit_pixels
from datasets.prepare import synthetic
from datasets.prepare.converter import Converter
from datasets.prepare.drawing import tool as drawing
from datasets.prepare.drawing.tool import Tool
from datasets.prepare.runner import prepare
from datasets.registry import dataset_names
from utils.cli.help import LineFormatter
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import did_you_mean
from utils.cores import usable_cores
from utils.settings import SETTINGS
from utils.settings.value_types import processes

_MODULES = [
    import_module(f'{room.__name__}.{found.name}') for found in iter_modules(room.__path__) if found.name != '__main__'
]
CONVERTERS = [module.CONVERTER for module in _MODULES if hasattr(module, 'CONVERTER')]
TOOLS = [module.TOOL for module in _MODULES if hasattr(module, 'TOOL')]
ROOT = 'folder of the data sets, given to train.py as --override_dataset_root (required)'


def parse_args(argv=None):
    """The flags of one preparation, and `run`, which does it; ValueError for a mistake."""
    parser = Parser(prog='python -m datasets.prepare', description='Make data sets that train.py can read.')
    programs = parser.add_subparsers(dest='program', metavar='PROGRAM')
    for converter in CONVERTERS:
        _add_converter(programs, converter)
    for tool in TOOLS:
        _add_tool(programs, tool)
    _add_shared(
        programs.add_parser('synthetic', help=synthetic.SUMMARY, description=f'{synthetic.SUMMARY.capitalize()}.'),
        synthetic.add_flags,
        synthetic.run,
    )
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in ('-h', '--help'):
        parser.print_help()
        parser.exit()
    if not argv or argv[0] not in programs.choices:
        raise ValueError(_which(argv, programs.choices))
    args = programs.choices[argv[0]].parse_all(argv[1:])
    if args.root is None:  # not required for argparse, which would say so before it looks for misspelled flags
        raise ValueError(
            '--root is missing; give the folder of the data sets, the one given to train.py as --override_dataset_root,'
            ' or for labelme, coco, cvat and voc the folder of the photos and annotations'
        )
    return args


def _which(argv, known) -> str:
    """The error about a call that names no preparation, or an unknown one."""
    choose = f'choose one of {", ".join(known)}'
    if not argv or argv[0].startswith('-'):
        return f'the name of the data set comes first, as in `python -m datasets.prepare camvid --root ROOT`; {choose}'
    if argv[0] in dataset_names():
        return f'data set {argv[0]!r} needs no preparation (docs/datasets.md); these do: {", ".join(known)}'
    return f'there is no preparation {argv[0]!r}; {did_you_mean(argv[0], known, choose, 2)}'


def _add_converter(programs, converter: Converter):
    subparser = programs.add_parser(
        converter.name, aliases=converter.aliases, help=converter.summary, description=converter.details
    )
    subparser.formatter_class = LineFormatter
    _add_shared(subparser, converter.add_flags, partial(prepare, converter))
    _add_writing(subparser)


def _add_tool(programs, tool: Tool):
    subparser = programs.add_parser(tool.name, help=tool.summary, description=tool.details)
    subparser.formatter_class = LineFormatter
    root = 'folder of the photos and annotations, of any depth (required)'
    _add_shared(subparser, drawing.add_flags, partial(drawing.convert, tool), root)
    tool.add_flags(subparser)
    _add_writing(subparser)


def _add_writing(subparser):
    subparser.add_argument('--dry_run', action='store_true', help='only say what would be written')
    subparser.add_argument(
        '--overwrite',
        action='store_true',
        help='also replace files in the place of a result that this program did not write',
    )


def _add_shared(subparser, add_flags, run, root=ROOT):
    subparser.add_argument('--root', metavar='DIR', help=root)
    add_flags(subparser)
    subparser.add_argument(
        '--workers',
        type=processes,
        default=usable_cores(),
        metavar='N',
        help='number of processes',
    )
    SETTINGS['max_pixels'].add_to(subparser)
    subparser.set_defaults(run=run)


def _run(argv) -> int:
    args = parse_args(argv)
    limit_pixels(args.max_pixels)
    return args.run(args)


def main(argv=None) -> int:
    """Do one preparation; returns the exit code (1: some files were refused; 2: a mistake in the call)."""
    stopped = 'stopped; what is done is kept, the same command continues'
    return run_program('python -m datasets.prepare', _run, argv, stopped)


if __name__ == '__main__':
    sys.exit(main())
