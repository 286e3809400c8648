"""Measures anomaly scores of networks on photographs with things that no class names, and writes the page.

    python scripts/record_anomaly.py best.pth --dataset camvid --sets DATA/RoadAnomaly21 DATA/fs_static --out page.md

A set is a folder with images/ and labels_masks/ (0 known, 1 anomaly, else void). Several weights are an ensemble. Runs
`ensemble.py run` and `ensemble.py eval ood` for every score; --work keeps the maps, and goes on where it stopped.
"""

import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ensemble  # noqa: E402  (the repository is not installed)
import network  # noqa: E402
from aggregation.benchmarks.ood_scores import evaluate  # noqa: E402
from aggregation.fusion.scores import SCORES  # noqa: E402
from engine.provenance import describe_start  # noqa: E402
from scripts.record_results import machine  # noqa: E402
from utils.cli.parser import Parser  # noqa: E402
from utils.cli.program import run_program  # noqa: E402
from utils.files.atomic import write_text  # noqa: E402
from utils.outputs.kinds import LOGITS, MASK_SCORES, kind_of  # noqa: E402
from utils.settings import SETTINGS  # noqa: E402
from utils.settings.value_types import number  # noqa: E402

KEYS = {'aupr': 'AUPR', 'fpr95': 'FPR95', 'siou': 'sIoU', 'ppv': 'PPV', 'f1_mean': 'mean F1'}


def parse_args(argv):
    parser = Parser(prog='scripts/record_anomaly.py', description=__doc__.splitlines()[0])
    parser.add_argument('weights', nargs='+', metavar='WEIGHTS', help='checkpoints or run directories: the members')
    SETTINGS['dataset'].add_to(parser, help='data set with the classes of the networks')
    parser.add_argument('--sets', nargs='+', required=True, metavar='DIR', help='folders with images and labels_masks')
    parser.add_argument('--bootstrap', type=number(int, low=2), default=1000, metavar='N', help='resamplings (1000)')
    parser.add_argument('--note', default='', help='a paragraph on the networks')
    parser.add_argument('--work', metavar='DIR', help='where the maps are kept (default: removed at the end)')
    parser.add_argument('--out', required=True, metavar='FILE', help='Markdown file to write')
    return parser.parse_all(argv)


OF_MANY = {'least_sure', 'msp_min', 'msp_logit', 'expected_entropy', 'mutual_information', 'variance', 'disagreement'}


def scores_of(members: int, kind: str) -> list[str]:
    """The scores that say something of so many networks: of one, those that need no second. kind: of what they give."""
    lacking = {MASK_SCORES: 'logit', LOGITS: 'mask_score'}[kind]
    return [
        name for name, score in SCORES.items() if lacking not in score.needs and (members > 1 or name not in OF_MANY)
    ]


def measure(args, folder: Path, work: Path) -> dict:
    """{score: what `ood_scores.evaluate` returns} of a set."""
    maps, names = work / folder.name, scores_of(len(args.weights), kind_of(network.load(args.weights[0], device='cpu')))
    flags = ['--dataset', args.dataset, '--eval_folder', str(folder / 'images'), '--out', str(maps)]
    code = ensemble.main(['run', *args.weights, *flags, '--write_scores', ','.join(names)])
    if code:
        raise ValueError(f'{folder / "images"}: the networks ended with exit code {code}; see above')
    masks = folder / 'labels_masks'
    return {name: evaluate(masks, maps, name, 'anomaly', bootstrap=args.bootstrap) for name in names}


def cells(found: dict) -> list[str]:
    """The scores in percent; of those over pixels the interval too."""
    scores, intervals, texts = found['scores'], found['intervals'], []
    for key in KEYS:
        if key in intervals:
            low, high = (f'{100 * end:.1f}' for end in intervals[key])
            texts.append(f'{100 * scores[key]:.1f} ({low} to {high})')
        else:
            texts.append(f'{100 * scores["smiyc"][key]:.1f}')
    return texts


def ahead(found: dict, best: str) -> dict[str, float]:
    """{score: share of the resamplings of images in which `best` has the larger AUPR}."""
    mine = [one['aupr'] for one in found[best]['resampled']]
    return {
        name: sum(a > b['aupr'] for a, b in zip(mine, other['resampled'])) / len(mine)
        for name, other in found.items()
        if name != best
    }


def section(folder: Path, found: dict) -> list[str]:
    """Markdown: the table of a set, and which score is best."""
    first = next(iter(found.values()))['scores']
    share = 100 * first['anomalous'] / first['pixels']
    best = max(found, key=lambda name: found[name]['scores']['aupr'])
    lines = [
        f'## {folder.name}',
        '',
        f'{first["images"]} images, {share:.1f} % of the pixels are anomalous.',
        '',
        '| score | ' + ' | '.join(KEYS.values()) + f' | `{best}` ahead in |',
        '|---' + '|---:' * (len(KEYS) + 1) + '|',
    ]
    shares = ahead(found, best)
    for name, one in found.items():
        last = f'{100 * shares[name]:.1f} %' if name in shares else ''
        lines.append('| ' + ' | '.join([f'`{name}`', *cells(one), last]) + ' |')
    return [*lines, '']


def record(argv) -> int:
    args = parse_args(argv)
    about = describe_start(torch.device('cpu'))
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary)
        sections = [line for folder in map(Path, args.sets) for line in section(folder, measure(args, folder, work))]
    lines = [
        '# Anomalies on photographs',
        '',
        'Written by `scripts/record_anomaly.py`.',
        '',
        *machine({'command': about}, {'command': about}),
        f'* networks: {", ".join(Path(file).name for file in args.weights)}',
        '',
        *([args.note, ''] if args.note else []),
        'In percent. AUPR and FPR95 over pixels with 95 % intervals over resampled images; sIoU, PPV and mean F1 over',
        'components, as SegmentMeIfYouCan has them. The last column: in how many of the resamplings the score of the',
        'largest AUPR is ahead of this one; above 97.5 % it is the better one on images like these.',
        '',
        *sections,
    ]
    write_text(args.out, '\n'.join(lines).rstrip('\n') + '\n')
    print(args.out)
    return 0


def main(argv=None) -> int:
    return run_program('scripts/record_anomaly.py', record, argv)


if __name__ == '__main__':
    sys.exit(main())
