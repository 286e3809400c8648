"""Trains the folds of a data set one after another, scores them, and makes an ensemble of them.

    python scripts/train_folds.py --folds 5 --data_yaml streets.yaml --result_dir runs/folds --recipe small
    python scripts/train_folds.py ... --predict new_photos                 and what the ensemble makes of these
    python scripts/train_folds.py --folds 4 --dataset camvid --override_dataset_root data --result_dir runs/folds

Flags that are not listed here go to train.py. Every fold trains in RESULT_DIR/fold<k> and is scored there on the images
that it has not seen; RESULT_DIR/folds.json holds the scores and the files of the ensemble. Where there is a split
`test` the ensemble is run on it. The same command goes on where it was stopped. It ends at the first step that fails,
with its exit code.
"""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import config  # noqa: E402  (the repository is not installed)
from datasets.registry import get_dataset, splits_of  # noqa: E402
from engine.keeper import CheckpointKeeper  # noqa: E402
from utils import metrics  # noqa: E402
from utils.cli.program import run_program  # noqa: E402
from utils.files import stamps  # noqa: E402
from utils.files.atomic import write_json  # noqa: E402
from utils.settings import SETTINGS  # noqa: E402
from utils.settings.value_types import number  # noqa: E402

OWN = ('--fold', '--resume', '--run', '--snapshot', '--eval')  # decided here for every fold
SCORES = 'eval_val'  # where an evaluation of a run writes to


def parse_args(argv):
    """The flags of this script, and those of train.py in `rest`."""
    parser = argparse.ArgumentParser(
        prog='scripts/train_folds.py',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.error = _refuse
    parser.add_argument('--folds', type=number(int, low=2), default=5, metavar='K', help='how many (default: 5)')
    parser.add_argument('--dataset', metavar='NAME', help='the data set (default: custom, with --data_yaml)')
    parser.add_argument('--data_yaml', metavar='FILE', help='the file that describes the data')
    parser.add_argument('--override_dataset_root', metavar='DIR', help='folder that holds one folder per dataset')
    parser.add_argument('--result_dir', required=True, metavar='DIR', help='folder of the folds')
    parser.add_argument('--predict', nargs='+', default=[], metavar='SOURCE', help='what predict.py takes')
    args, args.rest = parser.parse_known_args(argv)
    if not args.dataset and not args.data_yaml:
        raise ValueError('give --data_yaml FILE, which describes the data, or --dataset NAME')
    args.dataset = args.dataset or 'custom'
    odd = [flag for flag in args.rest if flag.split('=')[0] in OWN]
    if odd:
        raise ValueError(f'{odd[0]}: is decided here for every fold; leave it out')
    return args


def _refuse(message):
    raise ValueError(message)


def main(argv=None) -> int:
    """Run; returns the exit code, that of the first step that fails."""
    return run_program('scripts/train_folds.py', train_folds, argv, 'interrupted; the same command goes on')


def train_folds(argv) -> int:
    args = parse_args(argv)
    directory, given = (
        Path(args.result_dir),
        {name: getattr(args, name) for name in ('data_yaml', 'override_dataset_root')},
    )
    common = [
        '--dataset',
        args.dataset,
        *(word for name, value in given.items() if value for word in (f'--{name}', value)),
    ]
    with config.scope(**SETTINGS.as_cfg(given)):
        has_test = 'test' in splits_of(args.dataset) and _has_images(args.dataset, 'test')
    weights, counts, rows = [], [], []
    for fold in range(args.folds):
        run = directory / f'fold{fold}'
        flags = [*common, '--folds', str(args.folds), '--fold', str(fold)]
        code = step(f'fold {fold}', 'train.py', *flags, *args.rest, '--result_dir', str(run), '--resume', 'auto')
        best = CheckpointKeeper(run).best_files()
        if code or not best:
            return failed(f'fold {fold}', code or 2)
        if not _is_scored(run, best[0]):
            code = step(f'score of fold {fold}', 'train.py', '--run', str(run), '--eval', 'val')
            if code:
                return failed(f'the score of fold {fold}', code)
        weights.append(str(best[0]))
        counts.append(np.load(run / SCORES / 'confusion_matrix.npy'))
        rows.append({'fold': fold, 'mean_iou': float(metrics.mean_iou(counts[-1])), 'weights': weights[-1]})
    report(directory, rows, np.sum(counts, axis=0))
    if has_test:
        out = str(directory / 'test')
        code = step('test', 'ensemble.py', 'run', *weights, *common, '--split', 'test', '--out', out)
        if code:
            return failed('the ensemble on the test images', code)
    if args.predict:
        out = str(directory / 'predictions')
        return step('predictions', 'predict.py', *args.predict, '--weights', *weights, '--out', out)
    print('The folds are an ensemble: python predict.py SOURCE --weights', *weights)
    return 0


def _has_images(name, split) -> bool:
    try:
        return len(get_dataset(name, split)) > 0
    except (ValueError, OSError):  # folders of the usual names need not be there
        return False


def step(title: str, program: str, *flags) -> int:
    """Run a program of the repository; returns its exit code. Signals reach it, and this script waits for it."""
    print(f'== {title}: python {program} {" ".join(flags)}', flush=True)
    process = subprocess.Popen([sys.executable, str(ROOT / program), *flags])
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}  # the terminal sends it to both
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
    try:
        return process.wait()
    finally:
        for number_, handler in before.items():
            signal.signal(number_, handler)


def failed(what: str, code: int) -> int:
    print(f'{what} ended with exit code {code}; what is done is kept, the same command goes on there', file=sys.stderr)
    return code


def _is_scored(run: Path, best: Path) -> bool:
    found = run / SCORES / 'confusion_matrix.npy'
    return found.is_file() and found.stat().st_mtime >= best.stat().st_mtime


def report(directory: Path, rows: list, counts: np.ndarray):
    """Print the scores, and write folds.json: of each fold, and of all images, each by the network that has not seen
    it."""
    scores = np.array([row['mean_iou'] for row in rows])
    names = list(stamps.read(directory / 'fold0' / SCORES / 'metrics.json', 'score it again')['classes'])
    together = float(metrics.mean_iou(counts))
    print('\nmean IoU of the folds:')
    for row in rows:
        print(f'  fold {row["fold"]}: {100 * row["mean_iou"]:.2f} %  {row["weights"]}')
    print(f'  mean {100 * scores.mean():.2f} %, standard deviation {100 * scores.std(ddof=1):.2f} %')
    print(f'  all images together, each by the network that has not seen it: {100 * together:.2f} %')
    classes = dict(zip(names, metrics.iou(counts)))
    write_json(directory / 'folds.json', {'folds': rows, 'mean_iou': together, 'iou': classes, 'counts': counts})


if __name__ == '__main__':
    sys.exit(main())
