"""`python -m datasets.prepare NAME --root ROOT`: makes a downloaded data set readable for train.py, or renders one."""
import argparse
import os
import sys
from pathlib import Path

from config import cfg
from datasets.prepare import ade20k, camvid, cityscapes, gta5, idd, mapillary, pascal_context, shift, synthetic, wilddash

PROGRAMS = [module.PROGRAM for module in (ade20k, camvid, cityscapes, gta5, idd, mapillary, pascal_context, shift, wilddash)]


def parse_args(argv=None):
    parser = argparse.ArgumentParser(prog='python -m datasets.prepare', description='Make data sets that train.py can read.')
    programs = parser.add_subparsers(dest='program', required=True, metavar='PROGRAM')
    for program in PROGRAMS:
        subparser = programs.add_parser(program.name, aliases=program.aliases, help=program.summary, description=program.details,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
        program.add_to(subparser)
        subparser.set_defaults(run=program.run)
    _add_synthetic(programs)
    return parser.parse_args(argv)


def _add_synthetic(programs):
    street = programs.add_parser('synthetic', help='render the synthetic street data set (19 classes, layout of Cityscapes)',
                                 formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    street.add_argument('--root', required=True, help='folder of the data sets, given to train.py as --override_dataset_root')
    street.add_argument('--train', type=int, default=96, metavar='N', help='number of training images')
    street.add_argument('--val', type=int, default=16, metavar='N', help='number of validation images')
    street.add_argument('--size', type=_size, default=(256, 512), metavar='H,W', help='height and width of the images in pixels')
    street.add_argument('--seed', type=int, default=0, help='another seed gives other streets')
    street.add_argument('--overwrite', action='store_true', help='replace a folder that was rendered with other parameters')
    street.add_argument('--workers', type=int, default=os.cpu_count() or 1, metavar='N', help='number of processes')
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
    """Run one of the programs; returns the exit code (1: some files were refused; 2: a mistake in the call, said in one line)."""
    args = parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f'python -m datasets.prepare: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('python -m datasets.prepare: stopped; what is done is kept, the same command continues', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
