"""`python -m utils.compare_runs DIR...`: one page that shows what runs have in common and where they differ.

    python -m utils.compare_runs runs/a runs/b --out comparison.html

Curves over steps, best and last scores, IoU of each class, the flags that differ, and the same images of all runs. The
page is one file: the pictures are in it.
"""

import base64
import io
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import counted
from utils.files.atomic import plain
from utils.pages.sheet import Series, beside, heat_table, line_chart, section, table, write_sheet
from utils.pages.template import html_text
from utils.run_folder import NO_FLAGS, RunFolder, differing, read_run
from utils.settings import SETTINGS
from utils.settings.value_types import count

SIDE = 640  # pixels of the longer side of a picture
POINTS = 400  # of a curve
ASIDE = (*NO_FLAGS, 'result_dir')  # differ between any two runs


def main(argv=None) -> int:
    """Read the runs, write the page; returns the exit code."""
    return run_program('python -m utils.compare_runs', _compare, argv)


def parse_args(argv):
    """The flags; ValueError for a mistake."""
    parser = Parser(prog='python -m utils.compare_runs', description='Compare trainings, or evaluations, on one page.')
    parser.add_argument('runs', metavar='DIR', nargs='+', help='folders of runs (their --result_dir)')
    parser.add_argument('--out', metavar='FILE', default='comparison.html', help='the page')
    parser.add_argument('--images', metavar='N', type=count, default=8, help='images that are shown of all runs')
    return parser.parse_all(argv)


def _compare(argv):
    args = parse_args(argv)
    paths = [Path(path).resolve() for path in args.runs]
    twice = [path for place, path in zip(paths, args.runs) if paths.count(place) > 1]
    if twice:
        raise ValueError(f'{twice[0]}: was given twice; give each run once')
    runs = dict(zip(short_names(args.runs), map(read_run, args.runs)))
    rows = score_rows(runs)
    print_table(rows)
    write_page(args.out, runs, rows, args.images)
    print(args.out)


def print_table(rows):
    """The rows as lines, their columns aligned."""
    lines = [['-' if cell is None or cell != cell else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for first, *rest in lines:
        print('  '.join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:]))]))


def short_names(paths) -> list[str]:
    """The names by which runs are told apart: the fewest last parts of their paths that differ."""
    parts = [Path(path).resolve().parts for path in paths]
    depth = next(k for k in range(1, 1 + max(map(len, parts))) if len({one[-k:] for one in parts}) == len(parts))
    return ['/'.join(one[-depth:]) for one in parts]


def write_page(path, runs: dict[str, RunFolder], rows: list, images: int):
    """Write the page of runs by name, whole or not at all. rows: of score_rows; images: how many are shown."""
    sections = [
        table('Scores', rows, 'Mean IoU in percent of the labelled pixels of the validation images.'),
        *curves(runs),
        *class_tables(runs),
        flag_table(runs),
        *picture_cards(runs, images),
    ]
    write_sheet(path, 'Runs compared', {'runs': ', '.join(runs)}, sections)


def score_rows(runs) -> list[list]:
    """The head, and for each run: epochs, best and last mean IoU in percent, its loss, and minutes."""
    rows = [
        ['run', 'validations', 'best mean IoU', 'best epoch', 'last mean IoU', 'last epoch', 'last loss', 'minutes']
    ]
    for name, run in runs.items():
        scores, best, last = run.table.of('val'), run.best(), run.last()
        if last is None:
            rows.append([name, 0, *[None] * 6])
            continue
        minutes = (max(row['timestamp'] for row in run.table.rows.values()) - run.table.start) / 60
        rows.append(
            [
                f'{name} (scores of a part of the images)' if is_partial(run) else name,
                len(scores),
                None if best is None else percent(scores[best]['mean_iu']),
                best,
                percent(scores[last].get('mean_iu', math.nan)),
                last,
                round(float(scores[last].get('loss', math.nan)), 4),
                round(minutes, 1),
            ]
        )
    return rows


def is_partial(run) -> bool:
    """Whether --limit_batches N,M let it score M batches only."""
    limits = run.flags.get('limit_batches')
    return isinstance(limits, list | tuple) and len(limits) == 2 and limits[1] is not None


def percent(share) -> float:
    return round(100 * float(share), 2)


def curves(runs) -> list[str]:
    """Charts of training and validation over optimizer steps, or over epochs where a log does not tell its steps."""
    by_steps = all(run.step_of(epoch) is not None for run in runs.values() for epoch in run.table.of('val'))
    unit = 'optimizer steps' if by_steps else 'epochs'

    def scores(run, key, factor=1):
        rows = sorted(run.table.of('val').items())
        return [run.step_of(epoch) if by_steps else epoch + 1 for epoch, _ in rows], [
            factor * row.get(key, math.nan) for _, row in rows
        ]

    def steps(run, place):
        scale = 1 if by_steps else 1 / (run.steps_per_epoch or 1)
        return thinned([scale * step for step in run.steps], [values[place] for values in run.steps.values()])

    kinds = (
        ('Mean IoU', 'percent', lambda run: scores(run, 'mean_iu', 100)),
        ('Validation loss', 'loss', lambda run: scores(run, 'loss')),
        ('Training loss', 'loss', lambda run: steps(run, 0)),
        ('Learning rate', 'rate', lambda run: steps(run, 1)),
    )
    charts = []
    for title, label, points in kinds:
        series = [Series(name, *map(np.asarray, points(run))) for name, run in runs.items()]
        if any(np.isfinite(one.y).sum() > 1 for one in series):  # a point alone is no curve
            charts.append(line_chart(title, series, unit, label))
    return [beside(*charts)] if charts else []


def thinned(x, y):
    """At most POINTS points: means of neighbours."""
    size = max(1, math.ceil(len(x) / POINTS))
    parts = range(0, len(x), size)
    return [float(np.mean(x[k : k + size])) for k in parts], [float(np.mean(y[k : k + size])) for k in parts]


def class_tables(runs) -> list[str]:
    """IoU of each class side by side, of the best and of the last validation."""
    tables = []
    for title, epoch_of in (('best', RunFolder.best), ('last', RunFolder.last)):
        epochs = {name: epoch_of(run) for name, run in runs.items()}
        columns = {name: {} if epochs[name] is None else run.scores_of(epochs[name]) for name, run in runs.items()}
        names = dict.fromkeys(label for scores in columns.values() for label in scores)
        rows = [
            [label, *(percent(scores[label]) if label in scores else None for scores in columns.values())]
            for label in names
        ]
        told = ', '.join(f'{name} after epoch {epoch}' for name, epoch in epochs.items() if epoch is not None)
        note = f'In percent; {told}.'
        if rows and not (title == 'last' and all(run.best() == run.last() for run in runs.values())):
            tables.append(heat_table(f'IoU of each class, {title} validation', [['class', *columns], *rows], note))
    return tables


def flag_table(runs) -> str:
    """The flags that differ, and keys of cfg that no flag sets."""
    of_flags = {f'cfg.{SETTINGS[name].cfg}' for name in SETTINGS}
    defaults = {name: plain(SETTINGS[name].default) for name in SETTINGS}  # of flags that came after a run
    every = [
        {k: v for k, v in ({**defaults, **run.flags} if run.flags else {}).items() if k not in (*ASIDE, *of_flags)}
        for run in runs.values()
    ]
    names = differing([flags for flags in every if flags])
    told = ' '.join(f'{name} has no hparams.json.' for name, run in runs.items() if not run.flags)
    if not names:
        same = 'They are the same in all runs.' if len(runs) > 1 else 'There is one run alone.'
        return section('Flags that differ', f'<p class="none">{same}</p>', told)
    rows = [[name, *(_shown(flags.get(name)) for flags in every)] for name in names]
    return table('Flags that differ', [['flag', *runs], *rows], told)


def _shown(value) -> str:
    """A flag's value as text, which a table does not round."""
    return ', '.join(map(str, value)) if isinstance(value, (list, tuple)) else str('–' if value is None else value)


def picture_cards(runs, limit: int) -> list[str]:
    """The same images of all runs: input and label, then the prediction of each. Images that most runs have come
    first."""
    found = {name: run.pictures() for name, run in runs.items()}
    names = dict.fromkeys(image for pictures in found.values() for image in pictures)
    shared = sorted(names, key=lambda image: -sum(image in pictures for pictures in found.values()))[:limit]
    cards = []
    for image in shared:
        having = {name: pictures[image] for name, pictures in found.items() if image in pictures}
        first = next(iter(having.values()))[1]
        figures = [_figure(first[key], title) for key, title in (('input', 'Input'), ('gt', 'Label')) if key in first]
        for name, (record, files) in having.items():
            if 'prediction' in files:
                miou = record.get('miou')
                score = f', mean IoU {percent(miou)} %' if isinstance(miou, (int, float)) else ''
                figures.append(_figure(files['prediction'], f'{name}{score}'))
        cards.append(
            f'<article class="card"><header><h2>{html_text(image)}</h2></header><div class="layers">'
            f'{"".join(filter(None, figures))}</div></article>'
        )
    if not cards:
        return []
    note = f'{counted(len(shared), "image")} of {len(names):,}; of the last validation that drew them.'
    return [section('The same images', ''.join(cards), note)]


def _figure(path, title: str) -> str:
    """A picture inside the page; '' for a file that is none."""
    try:
        with Image.open(path) as image:
            is_photo = image.mode != 'P'
            image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR if is_photo else Image.Resampling.NEAREST)
            data = io.BytesIO()
            image.convert('RGB').save(data, 'JPEG', quality=85) if is_photo else image.save(data, 'PNG')
    except (OSError, ValueError):
        return ''
    text = base64.b64encode(data.getvalue()).decode()
    source, shown = f'data:image/{"jpeg" if is_photo else "png"};base64,{text}', html_text(title)
    return f'<figure><img src="{source}" alt="{shown}"><figcaption>{shown}</figcaption></figure>'


if __name__ == '__main__':
    sys.exit(main())
