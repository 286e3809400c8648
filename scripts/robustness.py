"""Scores of networks on corrupted photographs: mean IoU and calibration error at five strengths of six corruptions.

    python scripts/robustness.py best.pth runs/plain --dataset camvid --override_dataset_root DATA --out page.md

Each of the weights is a checkpoint or a run directory, and sees images as it was tested (scales, flips, sizes). Labels
and images are compared at the size of the image. --images N takes N images that lie evenly over the split.
"""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import config  # noqa: E402  (the repository is not installed)
import network  # noqa: E402
from aggregation.statistics.levels import LevelCounts, to_levels  # noqa: E402
from datasets import dataset_names, get_dataset  # noqa: E402
from datasets.verify.commandline import DATA  # noqa: E402
from engine.provenance import describe_start  # noqa: E402
from scripts.corruptions import CORRUPTIONS, STRENGTHS, corrupt  # noqa: E402
from scripts.record_results import machine  # noqa: E402
from utils.cli import flags  # noqa: E402
from utils.cli.parser import Parser  # noqa: E402
from utils.cli.program import run_program  # noqa: E402
from utils.cli.wording import listed  # noqa: E402
from utils.files.atomic import write_text  # noqa: E402
from utils.metrics import ConfusionMatrix  # noqa: E402
from utils.settings import SETTINGS  # noqa: E402
from utils.settings.value_types import number  # noqa: E402


def parse_args(argv):
    parser = Parser(prog='scripts/robustness.py', description=__doc__.splitlines()[0])
    parser.add_argument('weights', nargs='+', metavar='WEIGHTS', help='checkpoints or run directories')
    SETTINGS.add_to(parser, ('config', *DATA), dataset=flags.with_names(dataset_names()))
    parser.add_argument('--split', default='val', help='images with labels (default: val)')
    parser.add_argument('--images', type=number(int, low=1), metavar='N', help='so many of them (default: all)')
    parser.add_argument('--out', required=True, metavar='FILE', help='Markdown file to write')
    return parser.parse_all(argv)


def evenly(items: list, count: int | None) -> list:
    """`count` of the items, from the first to the last at equal distances; all without a count or with a larger one."""
    if count is None or count >= len(items):
        return list(items)
    return [items[place] for place in np.round(np.linspace(0, len(items) - 1, count)).astype(int)]


def score(net, dataset, items, name: str | None = None, strength: int = 0) -> tuple[float, float]:
    """(mean IoU, expected calibration error), both in [0, 1], of the items, corrupted unless name is None."""
    matrix, levels = ConfusionMatrix(len(net.trained_on.classes)), LevelCounts()
    for item in items:
        image, label = dataset.load(item)
        found = net.predict(image if name is None else corrupt(image, name, strength, item.name))
        matrix.update(found.labels, label)
        counted = label < matrix.num_classes
        levels.add(LevelCounts.of(to_levels(found.confidence[counted]), (found.labels == label)[counted]))
    return matrix.mean_iou(), levels.ece()


def table(results: dict, which: int) -> list[str]:
    """Markdown, in percent: a row per corruption. results: {(corruption or None, strength): (mean IoU, error)}; which:
    of the two."""
    clean = f'{100 * results[None, 0][which]:.1f}'
    heads = ['corruption', 'none', *map(str, STRENGTHS), 'mean']
    lines = ['| ' + ' | '.join(heads) + ' |', '|---|' + '---:|' * (len(heads) - 1)]
    for name in CORRUPTIONS:
        values = [100 * results[name, strength][which] for strength in STRENGTHS]
        cells = [name, clean, *(f'{value:.1f}' for value in (*values, sum(values) / len(values)))]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines


def robustness(argv) -> int:
    args = parse_args(argv)
    about = describe_start(torch.device('cpu'))
    nets = [network.load(file, device='cpu') for file in args.weights]
    with config.scope(**SETTINGS.as_cfg(vars(args))):
        dataset = get_dataset(args.dataset, args.split)
        if not dataset.labelled:
            raise ValueError(f'--split {args.split}: the images of {args.dataset} have no labels there')
        for file, net in zip(args.weights, nets):
            names, own = list(dataset.classes.names), list(net.trained_on.classes.names)
            if names != own:
                raise ValueError(
                    f'{file}: was trained on the classes {listed(own)}, those of {args.dataset} are {listed(names)}'
                )
        items = evenly(dataset.items, args.images)
        lines = [
            '# Robustness',
            '',
            'Written by `scripts/robustness.py`.',
            '',
            *machine({'command': about}, {'command': about}),
            f'* images: {len(items)} of {args.dataset} {args.split}',
            '',
            'In percent, at the size of the image. The corruptions are those of `scripts/corruptions.py`, 1 to 5.',
        ]
        for file, net in zip(args.weights, nets):
            results = {(None, 0): score(net, dataset, items)}
            for name in CORRUPTIONS:
                for strength in STRENGTHS:
                    results[name, strength] = score(net, dataset, items, name, strength)
                    print(
                        f'{file}: {name} {strength}: mean IoU {100 * results[name, strength][0]:.1f} %,'
                        f' calibration error {100 * results[name, strength][1]:.1f} %',
                        flush=True,
                    )
            lines += ['', f'## {Path(file).name}', '', 'Mean IoU:', '', *table(results, 0)]
            lines += ['', 'Expected calibration error (15 bins):', '', *table(results, 1)]
    write_text(args.out, '\n'.join(lines) + '\n')
    print(args.out)
    return 0


def main(argv=None) -> int:
    return run_program('scripts/robustness.py', robustness, argv)


if __name__ == '__main__':
    sys.exit(main())
