"""`python -m datasets.verify --dataset NAME`: reads every file of a dataset once and says what is wrong with it.

Exit code 0: it can be trained on; 1: something would break training, or teach nothing; 2: a mistake in the call.
"""
import sys
from pathlib import Path

import config
from datasets.registry import dataset_names
from datasets.verify.findings import ERROR
from datasets.verify.report import write_report
from datasets.verify.whole import verify
from utils import coarse_flags, flags
from utils.parser import Parser, names, positive


def parse_args(argv=None):
    """The flags; ValueError for a mistake."""
    parser = Parser(prog='python -m datasets.verify', description='Read every file of a dataset once, say what is wrong, and write a page about it.')
    parser.add_argument('--config', metavar='FILE', help='YAML file of flag: value lines, used as defaults under the flags given here')
    flags.add_dataset(parser, dataset_names())
    coarse_flags.add_coarse(parser)
    group = parser.add_argument_group('verification')
    group.add_argument('--splits', type=names, default=(), metavar='LIST', help='comma list of splits to read (default: train,val)')
    group.add_argument('--workers', type=positive, metavar='N', help='threads (default: as many as there are usable cores)')
    group.add_argument('--out', metavar='DIR', help='folder of verify.json and index.html (default: <assets_path>/verify/<dataset>)')
    group.add_argument('--assets_path', default='assets', metavar='DIR', help='folder of verify/ and data/')
    args = parser.parse_all(sys.argv[1:] if argv is None else argv)
    args.class_uniform_pct = config.cfg.DATASET.CLASS_UNIFORM_PCT       # nothing is drawn here
    coarse_flags.check_coarse(args)
    return args


def main(argv=None) -> int:
    """Verify, print, write; returns the exit code."""
    try:
        args = parse_args(argv)
        with config.scope(**flags.as_cfg(vars(args))):
            verified = verify(args.dataset, args.splits, args.workers)
            for finding in verified.findings:
                print('\n'.join(finding.lines()))
            page = write_report(verified, args.out or Path(args.assets_path) / 'verify' / args.dataset)
    except (ValueError, OSError) as error:
        print(f'python -m datasets.verify: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('python -m datasets.verify: interrupted, nothing was written', file=sys.stderr)
        return 130
    print(f'{verified.summary}; see {page}')
    return 1 if verified.count(ERROR) else 0


if __name__ == '__main__':
    sys.exit(main())
