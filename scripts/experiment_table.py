#!/usr/bin/env python
"""Table of the published experiments: the command of each, the score it reached, and ours where we have one.

    python scripts/experiment_table.py          writes docs/experiments.md
    python scripts/experiment_table.py --out -  prints it

Commands are files of flags in scripts/experiments with what differs from them; scripts/experiments/published.json has
both, with the scores. A score of ours is read from its page in docs/results. Exit code 0; 2 for a mistake.
"""

import json
import sys
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.files.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'scripts' / 'experiments'
PAGE = ROOT / 'docs' / 'experiments.md'
INTRODUCTION = """\
# Published experiments

Written by `python scripts/experiment_table.py` from the files of `scripts/experiments/`. Every experiment is a file of
flags, some with further flags behind it:

```
python train.py --config scripts/experiments/hrnet_cityscapes.yml
torchrun --standalone --nproc-per-node=2 train.py --config scripts/experiments/hrnet_cityscapes.yml    # as published
python train.py --config scripts/experiments/hrnet_cityscapes.yml --dry_run    # what is missing?
```

Several lines in a cell are stages, each from the weights of the one before. `--override_dataset_root DIR` says where
the data is, `--assets_path DIR` where the weights of [checkpoints](checkpoints.md) are. Flags behind the file win: on
smaller GPUs give `--crop_size`, `--bs_trn`, `--accumulate` or `--grad_ckpt`. Scores are mean IoU in percent on the
validation images, of several runs the mean and, in brackets, the best. A training with more than one line of scores is
tested once for each: `--run DIR --eval val --n_scales 0.5,1.0,2.0`.
"""


def experiments() -> dict:
    """What published.json holds: sources by the start of a group's name, and the experiments in order."""
    return json.loads((FOLDER / 'published.json').read_text(encoding='utf-8'))


def published(scores: list[dict]) -> str:
    """Scores as a cell: '81.13 (81.44)', 'about 71.9', one below the other where there are several."""
    lines = []
    for score in scores:
        mean = f'about {score["mean"]}' if score.get('about') else f'{score["mean"]:.2f}'
        best = f' ({score["best"]:.2f})' if 'best' in score else ''
        lines.append(f'{score["at"]}: {mean}{best}' if 'at' in score else f'{mean}{best}')
    return '<br>'.join(lines)


def here(place: dict | None) -> str:
    """Our score as a link, read from the table of a page of docs/results: its line, and its column."""
    if place is None:
        return ''
    rows = [
        [cell.strip(' *') for cell in line.strip('|\n ').split('|')]
        for line in (ROOT / 'docs' / place['page']).read_text(encoding='utf-8').splitlines()
        if line.startswith('|')
    ]
    for row in rows:
        if place['column'] in row:
            column = row.index(place['column'])
        if row[0] == place['line']:
            return f'[{row[column]}]({place["page"]})'
    raise ValueError(f'docs/{place["page"]}: has no line {place["line"]!r}; write the page again, or correct `here`')


def command(experiment: dict) -> str:
    """The commands of an experiment as a cell."""
    if 'script' in experiment:
        return f'`bash {experiment["script"]}`'
    return '<br>'.join(f'`{words}`' for words in experiment['commands']) or experiment['note']


def page() -> str:
    """The text of docs/experiments.md."""
    found, parts = experiments(), [INTRODUCTION]
    for group, members in groupby(found['experiments'], lambda experiment: experiment['group']):
        source = next(text for start, text in found['sources'].items() if group.startswith(start))
        parts.append(f'## {group}\n\nSource: {source}.\n')
        rows = [
            f'| {item["name"]} | {item["processes"]} | {command(item)} | {published(item["scores"])} |'
            f' {here(item.get("here"))} |'
            for item in members
        ]
        header = '| experiment | processes | files and flags | published | here |\n|---|---:|---|---|---|'
        parts.append('\n'.join([header, *rows]) + '\n')
    return '\n'.join(parts)


def write(argv):
    parser = Parser(prog='scripts/experiment_table.py', description='Write docs/experiments.md.')
    parser.add_argument('--out', default=str(PAGE), metavar='FILE', help='the page; -: print it')
    args = parser.parse_all(argv)
    if args.out == '-':
        print(page(), end='')
    else:
        write_text(Path(args.out), page())


def main(argv=None) -> int:
    """Run the program; returns its exit code."""
    return run_program('scripts/experiment_table.py', write, argv)


if __name__ == '__main__':
    sys.exit(main())
