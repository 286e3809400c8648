"""`python -m datasets.verify --dataset NAME`: reads every file of a dataset once and says what is wrong with it.

Exit code 0: it can be trained on; 1: something would break training, or teach nothing; 2: a mistake in the call.
"""

import sys
from pathlib import Path

import config
from datasets.verify.commandline import parse_args
from datasets.verify.findings import ERROR
from datasets.verify.report import write_report
from datasets.verify.whole import verify
from utils.settings import SETTINGS


def main(argv=None) -> int:
    """Verify, print, write; returns the exit code."""
    try:
        args = parse_args(argv)
        with config.scope(**SETTINGS.as_cfg(vars(args))):
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
