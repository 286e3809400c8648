"""Page for docs/results/ of trainings that differ in a flag or two: what each scored, and the mean over seeds.

    python scripts/record_comparison.py --title 'Where to augment' --out docs/results/augment_on.md RUN RUN [RUN ...]

A RUN is the directory of a finished training. Which flags differ is read from the directories; paths do not count.
Trainings that differ in nothing but --seed are one row. The score is that of the last validation.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.record_results import PATH_FLAGS, command_of, machine, page_parser, page_program, read_json, validations
from utils.run_folder import UNSET, differing

IGNORED = {'given', 'command', 'source', 'seed', 'resume', *(flag.removeprefix('--') for flag in PATH_FLAGS)}


def parse_args(argv=None):
    parser = page_parser(__doc__)
    parser.add_argument('runs', metavar='RUN', nargs='+', help='directories of finished trainings')
    return parser.parse_args(argv)


def settings(hparams):
    """The flags that may tell two trainings apart, as text."""
    return {name: str(value) for name, value in hparams.items() if name not in IGNORED and not name.startswith('cfg.')}


def table(hparams, results):
    """Markdown: a row for each setting; results: (mean IoU, minutes) of each training."""
    every = [settings(one) for one in hparams]
    names = differing(every)
    groups = {}
    for flags, one, result in zip(every, hparams, results):
        groups.setdefault(tuple(flags.get(name, UNSET) for name in names), []).append((one['seed'], *result))
    lines = [
        '| ' + ' | '.join(f'`--{name}`' for name in names) + ' | mean IoU % | of seeds | minutes |',
        '|---' * len(names) + '|---:|---|---:|',
    ]
    for values, rows in groups.items():
        scores = ', '.join(f'{100 * score:.2f} ({seed})' for seed, score, _ in rows)
        means = [statistics.fmean(row[place] for row in rows) for place in (1, 2)]
        lines.append('| ' + ' | '.join(values) + f' | {100 * means[0]:.2f} | {scores} | {means[1]:.0f} |')
    return lines


def page(title, runs):
    """The whole page as Markdown. Raises ValueError for trainings that do not differ or have no validation."""
    if len(runs) < 2:
        raise ValueError(f'{runs[0]}: one training cannot be compared; give two or more')
    hparams = [read_json(Path(run) / 'hparams.json') for run in runs]
    found = [validations(run) for run in runs]
    empty = [str(run) for run, rows in zip(runs, found) if not rows]
    if empty:
        raise ValueError(f'{", ".join(empty)}: there is no validation in metrics.csv; give finished trainings')
    if not differing([settings(one) for one in hparams]):
        raise ValueError(
            f'{runs[0]} and the others: no flag but --seed and paths differs; give trainings of two settings'
        )
    epochs = {rows[-1][0] for rows in found}
    if len(epochs) > 1:
        raise ValueError(
            f'the last validations are of epochs {", ".join(map(str, sorted(epochs)))}; give trainings of one length'
        )
    return '\n'.join(
        [
            f'# {title}',
            '',
            'Written by `scripts/record_comparison.py` from the run directories.',
            '',
            *machine(hparams[0], hparams[0]),
            '',
            'The first of the trainings:',
            '',
            '```',
            command_of(hparams[0]),
            '```',
            '',
            f'Mean IoU of the validation after epoch {epochs.pop()}; in parentheses the seed.',
            '',
            *table(hparams, [(score, seconds / 60) for rows in found for _, score, seconds in rows[-1:]]),
            '',
        ]
    )


def main(argv=None):
    return page_program('record_comparison.py', parse_args, lambda args: page(args.title, args.runs), argv)


if __name__ == '__main__':
    sys.exit(main())
