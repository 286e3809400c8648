"""`python -m datasets.verify --dataset NAME`: reads every file of a dataset once and says what is wrong with it.

Exit code 0: it can be trained on; 1: something would break training, or teach nothing; 2: a mistake in the call.
"""

import sys

import config
from datasets.verify.commandline import parse_args
from datasets.verify.findings import ERROR
from datasets.verify.page import folder_of, write_page
from datasets.verify.whole import verify
from utils.cli.program import run_program
from utils.settings import SETTINGS


def main(argv=None) -> int:
    """Verify, print, write; returns the exit code."""
    return run_program('python -m datasets.verify', _verify, argv, 'interrupted, nothing was written')


def _verify(argv) -> int:
    args = parse_args(argv)
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        verified = verify(args.dataset, args.splits, args.workers)
        for finding in verified.findings:
            print('\n'.join(finding.lines()))
        page = write_page(verified, args.out or folder_of(args.assets_path, verified))
    print(f'{verified.summary}; see {page}')
    return 1 if verified.count(ERROR) else 0


if __name__ == '__main__':
    sys.exit(main())
