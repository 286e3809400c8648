"""Out-of-distribution scores of anomaly maps: `eval ood`."""

from pathlib import Path

from aggregation import flags
from aggregation.benchmarks.ood_scores import evaluate
from aggregation.benchmarks.results import number, percent, show, write_page
from aggregation.benchmarks.smiyc_scores import TRACKS
from aggregation.commands import command
from utils.pages.sheet import table

# key of a result -> its name in tables
PIXEL_SCORES = {'auroc': 'AUROC', 'aupr': 'AUPR', 'fpr95': 'FPR95'}
SUITE_SCORES = {
    'aupr': 'AUPR',
    'fpr95': 'FPR95',
    'auroc': 'AUROC',
    'best_f1': 'best F1',
    'siou': 'sIoU',
    'ppv': 'PPV',
    'f1_mean': 'mean F1',
}


def _eval_flags(parser):
    parser.add_argument(
        '--gt',
        metavar='DIR',
        help='masks *_labels_semantic.png or, without these, *.png: 0 known, 1 anomaly, else void',
    )
    parser.add_argument('--scores', metavar='DIR', help='maps *_<score>.npz, .npy, .hdf5, or *_conf.png')
    parser.add_argument('--score', metavar='NAME', help="which map when there are several; 'confidence' for *_conf.png")
    parser.add_argument('--track', choices=tuple(TRACKS), help='add the SegmentMeIfYouCan pixel and component scores')
    parser.add_argument(
        '--exact', action='store_true', help='keep every score in memory instead of a histogram of 2^20 levels'
    )
    flags.evaluation(parser)


@command('eval ood', 'score anomaly maps against masks, by pixel and by component', _eval_flags, ('gt', 'scores'))
def eval_ood(args):
    result = evaluate(args.gt, args.scores, args.score, args.track, args.exact, args.bootstrap, args.num_workers)
    show(args, result, lines(result), page)


def _rows(result: dict) -> list[tuple[str, list[list[str]]]]:
    """(title, rows) of the scores over pixels and, with a track, of those of SegmentMeIfYouCan."""
    scores, intervals = result['scores'], result.get('intervals', {})
    tables = [
        (
            'Pixels',
            [['score', '%'], *([name, number(scores[key], intervals.get(key))] for key, name in PIXEL_SCORES.items())],
        )
    ]
    if 'smiyc' in scores:
        found, around = scores['smiyc'], intervals.get('smiyc', {})
        tables.append(
            (
                'SegmentMeIfYouCan',
                [['score', '%'], *([name, number(found[key], around.get(key))] for key, name in SUITE_SCORES.items())],
            )
        )
    return tables


def lines(result: dict) -> list[str]:
    """The scores of anomaly maps."""
    scores, intervals = result['scores'], result.get('intervals', {})
    told = [
        f'{scores["images"]} images, {scores["pixels"]} pixels, {scores["anomalous"]} of them anomalous: '
        + ', '.join(f'{name} {percent(scores[key], intervals.get(key))}' for key, name in PIXEL_SCORES.items())
    ]
    if 'smiyc' in scores:
        found, around = scores['smiyc'], intervals.get('smiyc', {})
        aupr, fpr95, _, best_f1, *components = (
            f'{name} {percent(found[key], around.get(key))}' for key, name in SUITE_SCORES.items()
        )
        told.append(
            f'SegmentMeIfYouCan: {aupr}, {fpr95}, {best_f1} above {found["best_threshold"]:g}; components:'
            f' {", ".join(components)}'
        )
    return told


def page(path: Path, result: dict):
    """The scores over pixels and, with a track, of the SegmentMeIfYouCan suite."""
    scores = result['scores']
    facts = {key: scores[key] for key in ('images', 'pixels', 'anomalous')}
    if 'smiyc' in scores:
        facts['threshold of the components'] = f'{scores["smiyc"]["best_threshold"]:g}'
    note = 'FPR95: lower is better' + ('; 95 % intervals over resampled images' if 'intervals' in result else '')
    write_page(
        path,
        'Anomaly scores',
        facts,
        [table(title, rows, note) for title, rows in _rows(result)],
        result['notes'],
    )
