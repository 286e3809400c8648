"""Page for docs/results/ from reports of `ensemble.py report`: members, their ensemble, and calibrated forms of it.

    python scripts/record_ensemble.py --title 'CamVid, two members' --out docs/results/ensemble_camvid.md REPORT [...]

Every REPORT is a folder with report.json. The first one fills the table of members; those made with --calibration add a
row to the table of calibrations, next to the uncalibrated ensemble on the same images. Run it where the reports were
made.
"""

import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.provenance import describe_start  # noqa: E402
from scripts.record_results import machine, page_parser, page_program, read_json  # noqa: E402  (not installed)

COLUMNS = {
    'mean_iou': 'mIoU %',
    'accuracy': 'accuracy %',
    'ece': 'ECE %',
    'classwise_ece': 'class-wise ECE %',
    'auprc_error': 'AUPR of errors %',
}
PLAIN = {'nll': 'NLL', 'brier': 'Brier', 'ause': 'AUSE'}


def parse_args(argv=None):
    parser = page_parser(__doc__)
    parser.add_argument('--note', default='', help='a paragraph on how members and calibrations were made')
    parser.add_argument('reports', metavar='REPORT', nargs='+', help='folders that ensemble.py report wrote')
    return parser.parse_args(argv)


def row(name, scores, keys):
    """One line of a Markdown table; a dash for what was not measured."""
    cells = [name]
    for key in keys:
        value = scores.get(key)
        cells.append('-' if value is None else f'{value:.4f}' if key in PLAIN else f'{100 * value:.2f}')
    return f'| {" | ".join(cells)} |'


def table(rows):
    """rows: (name, scores); columns without any value are left out."""
    keys = [key for key in (*COLUMNS, *PLAIN) if any(scores.get(key) is not None for _, scores in rows)]
    heads = [{**COLUMNS, **PLAIN}[key] for key in keys]
    return [
        f'| | {" | ".join(heads)} |',
        f'|---|{"---:|" * len(keys)}',
        *(row(name, scores, keys) for name, scores in rows),
    ]


def page(title, note, folders):
    """The whole page as Markdown."""
    reports = [
        read_json(Path(folder) / 'report.json', 'give folders that ensemble.py report wrote') for folder in folders
    ]
    first, here = reports[0], describe_start(torch.device('cpu'))
    lines = [
        f'# {title}',
        '',
        'Written by `scripts/record_ensemble.py` from what `ensemble.py report` found.',
        '',
        *machine({'command': here}, {'command': here}),
        '',
        *([note, ''] if note else []),
        (
            f'{first["dataset"]} {first["split"]}, {first["images"]} images, fusion {first["fusion"]}, confidence'
            f' {first["score"]}:'
        ),
        '',
    ]
    lines += table([*((member['name'], member) for member in first['members']), ('**ensemble**', first['ensemble'])])
    calibrated = [(Path(folder).name, report) for folder, report in zip(folders, reports) if report.get('calibrated')]
    if calibrated:
        _, other = calibrated[0]
        lines += [
            '',
            f'Calibrations of the ensemble, on {other["images"]} images that they were not fitted on; labels stay:',
            '',
        ]
        lines += table(
            [('not calibrated', other['ensemble']), *((name, report['calibrated']) for name, report in calibrated)]
        )
    return '\n'.join(lines) + '\n'


def main(argv=None):
    return page_program('record_ensemble.py', parse_args, lambda args: page(args.title, args.note, args.reports), argv)


if __name__ == '__main__':
    sys.exit(main())
