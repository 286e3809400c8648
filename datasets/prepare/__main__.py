"""`python -m datasets.prepare NAME --root ROOT`: makes a downloaded data set readable for train.py, or renders one."""

import argparse
import difflib
import sys
from pathlib import Path

from config import cfg
from datasets.loading.threads import usable_cores
from datasets.prepare import (
    ade20k,
    camvid,
    cityscapes,
    gta5,
    idd,
    mapillary,
    pascal_context,
    shift,
    synthetic,
    wilddash,
)
from datasets.registry import dataset_names
from utils.cli.parser import Parser
from utils.settings.value_types import positive

PROGRAMS = [
    module.PROGRAM for module in (ade20k, camvid, cityscapes, gta5, idd, mapillary, pascal_context, shift, wilddash)
]


def parse_args(argv=None):
    """The flags of one program, and `run`, which does it; ValueError for a mistake."""
    parser = Parser(prog='python -m datasets.prepare', description='Make data sets that train.py can read.')
    programs = parser.add_subparsers(dest='program', metavar='PROGRAM')
    for program in PROGRAMS:
        subparser = programs.add_parser(
            program.name, aliases=program.aliases, help=program.summary, description=program.details
        )
        subparser.formatter_class = argparse.RawDescriptionHelpFormatter  # keeps the lines of the description
        program.add_to(subparser)
        subparser.set_defaults(run=program.run)
    _add_synthetic(programs)
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in ('-h', '--help'):
        parser.print_help()
        parser.exit()
    if not argv or argv[0] not in programs.choices:
        raise ValueError(_which(argv, programs.choices))
    args = programs.choices[argv[0]].parse_all(argv[1:])
    if args.root is None:  # not required for argparse, which would say so before it looks for misspelled flags
        raise ValueError(
            '--root is missing; give the folder of the data sets, the one given to train.py as --override_dataset_root'
        )
    return args


def _which(argv, known) -> str:
    """What to tell somebody who has named no program, or none that there is."""
    choose = f'choose one of {", ".join(known)}'
    if not argv or argv[0].startswith('-'):
        return f'the name of the data set comes first, as in `python -m datasets.prepare camvid --root ROOT`; {choose}'
    if argv[0] in dataset_names():
        return f'data set {argv[0]!r} needs no preparation (docs/datasets.md); these do: {", ".join(known)}'
    near = difflib.get_close_matches(argv[0].lower(), known, n=2, cutoff=0.5)
    return f'there is no preparation {argv[0]!r}; ' + (f'did you mean {" or ".join(near)}?' if near else choose)


def _add_synthetic(programs):
    street = programs.add_parser(
        'synthetic', help='render the synthetic street data set (19 classes, layout of Cityscapes)'
    )
    street.add_argument(
        '--root', metavar='DIR', help='folder of the data sets, given to train.py as --override_dataset_root (required)'
    )
    street.add_argument('--train', type=int, default=96, metavar='N', help='number of training images')
    street.add_argument('--val', type=int, default=16, metavar='N', help='number of validation images')
    street.add_argument(
        '--size', type=_size, default=(256, 512), metavar='H,W', help='height and width of the images in pixels'
    )
    street.add_argument('--seed', type=int, default=0, metavar='N', help='another seed gives other streets')
    street.add_argument(
        '--overwrite', action='store_true', help='replace a folder that was rendered with other parameters'
    )
    street.add_argument('--workers', type=positive, default=usable_cores(), metavar='N', help='number of processes')
    street.set_defaults(run=_render)


def _size(text):
    try:
        height, width = (int(part) for part in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is not "height,width" in pixels, such as 256,512') from None
    return height, width


def _render(args):
    folder = Path(args.root) / cfg.DATASET.SYNTHETIC_DIR
    new = synthetic.render(folder, args.train, args.val, args.size, args.seed, args.overwrite, args.workers)
    state = 'rendered' if new else 'reused, it stands there already'
    print(f'{folder}: {args.train} train and {args.val} val images of {args.size[0]}x{args.size[1]} pixels, {state}')
    return 0


def main(argv=None):
    """Run one of the programs; returns the exit code (1: some files were refused; 2: a mistake in the call, said in one
    line)."""
    try:
        args = parse_args(argv)
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f'python -m datasets.prepare: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('python -m datasets.prepare: stopped; what is done is kept, the same command continues', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
