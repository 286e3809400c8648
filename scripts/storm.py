#!/usr/bin/env python
"""Storm: kills, damaged files, full disks, second runs, lost machines, for as long as asked; says what did not hold.

    python scripts/storm.py --minutes 30                           everything, in turn
    python scripts/storm.py --minutes 5 --only files               some groups or kinds; --list names them
    python scripts/storm.py --only "a training" --seed 7 --first 12 --trials 1     one trial once more
    python scripts/storm.py --minutes 60 --out docs/reliability.md keeps the table there

Everything is made below a temporary folder from rendered streets of 64x128 pixels. What a machine does not allow
(mounting, network namespaces) is said in the table. Exit code 0: all of it held; 1: something did not; 2: a mistake in
the flags. Linux only.
"""

import contextlib
import shlex
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.cli.waiting  # noqa: F401  (before torch)

# isort: split
import cv2
import torch
import torch._inductor  # which torch imports as a training starts, once here and not in every trial

from scripts import storm_inputs, storm_kills, storm_machine, storm_records
from scripts.bench_report import aligned, header, provenance
from scripts.storm_trials import Kind, NotPossible, Process
from utils.cli.parser import Parser
from utils.cli.program import run_program
from utils.cli.wording import counted, did_you_mean
from utils.files.atomic import write_json, write_text
from utils.settings.value_types import count, names, number, positive

KINDS = [*storm_kills.KINDS, *storm_inputs.KINDS, *storm_records.KINDS, *storm_machine.KINDS]
BEGIN, END = '<!-- the table of scripts/storm.py -->', '<!-- its end -->'
SHOWN = 20  # faults of a kind in the list


@dataclass
class Row:
    """What became of a kind: trials, troubles made, what did not hold by trial, seconds; absent: why it is not possible
    here."""

    kind: Kind
    trials: int = 0
    tried: int = 0
    broke: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    absent: str = ''
    folder: Path | None = None


def main(argv=None) -> int:
    """Run the program; returns the exit code."""
    return run_program('storm.py', run, argv)


def run(argv) -> int:
    args = parse_args(argv)
    if args.list:
        print(aligned([('group', 'kind', 'what'), *((kind.group, kind.name, kind.what) for kind in KINDS)]))
        return 0
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    about, began = provenance(torch.device('cpu'), argv, 'scripts/storm.py'), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix='storm_', dir=args.tmp))
    if args.keep:
        print(f'trials that break stay in {folder}', file=sys.stderr)
    rows = [Row(kind) for kind in chosen(args.only)]
    try:
        storm(rows, args, folder)
    finally:
        for process in list(Process.running):
            process.stop()
        for row in rows:
            row.kind.close()
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    text = f'{header(about, time.monotonic() - began)}\n\n{table(rows)}\n{faults(rows, args.seed)}'
    print(text)
    if args.out:
        write(Path(args.out), text, rows)
    return int(any(row.broke for row in rows))


def parse_args(argv):
    parser = Parser(prog='storm.py', description='Make trouble of many kinds, and see what holds.')
    parser.add_argument('--minutes', type=number(float, 0), default=10, metavar='M', help='how long')
    parser.add_argument('--trials', type=positive, metavar='N', help='of each kind at most')
    parser.add_argument('--first', type=count, default=0, metavar='N', help='the number of the first trial')
    parser.add_argument('--seed', type=count, default=0, metavar='N', help='decides every trial, with its number')
    parser.add_argument('--only', type=names, default=(), metavar='LIST', help='comma list of groups or kinds')
    parser.add_argument('--list', action='store_true', help='print the groups and kinds')
    parser.add_argument('--keep', action='store_true', help='leave the folders and logs of trials that broke')
    parser.add_argument('--tmp', metavar='DIR', help='where the temporary folder is made')
    parser.add_argument('--out', metavar='FILE', help='write the table there, .md or .json')
    args = parser.parse_all(argv)
    if args.out and Path(args.out).suffix not in ('.md', '.json'):
        raise ValueError(f'--out {args.out}: ends neither in .md nor in .json; give such a name')
    chosen(args.only)
    return args


def chosen(only) -> list[Kind]:
    """The kinds of these names or groups, all without any; ValueError for one that there is not."""
    known = {name: None for kind in KINDS for name in (kind.group, kind.name)}
    for name in only:
        if name not in known:
            raise ValueError(f'--only {name}: there is none; {did_you_mean(name, known, "--list names them")}')
    return [kind for kind in KINDS if not only or kind.group in only or kind.name in only]


def storm(rows: list[Row], args, folder: Path):
    """Let the kinds take turns by their shares of the time, until it is over or every trial is done."""
    end, left = time.monotonic() + 60 * args.minutes, list(rows)
    while left and time.monotonic() < end:
        row = min(left, key=lambda row: row.seconds / row.kind.share)
        try:
            if row.folder is None:
                prepare(row, folder)
            took_part = turn(row, args, end)
        except NotPossible as reason:
            row.absent, took_part = str(reason), False
        if not took_part:
            left.remove(row)


def prepare(row: Row, folder: Path):
    row.folder = folder / row.kind.name.replace(' ', '_')
    row.folder.mkdir()
    row.kind.prepare(row.folder)


def turn(row: Row, args, end: float) -> bool:
    """A few trials of a kind; whether more are to come."""
    first = args.first + row.trials
    burst = min(row.kind.burst, args.first + args.trials - first if args.trials else row.kind.burst)
    began = time.monotonic()
    for outcome in row.kind.run(args.seed, range(first, first + burst), row.folder):
        row.trials += 1
        row.tried += outcome.tried
        if outcome.broke:
            row.broke[outcome.number] = outcome.broke
            print(f'{row.kind.name}, trial {outcome.number}: {outcome.broke}', file=sys.stderr, flush=True)
        if time.monotonic() >= end:
            break
    row.seconds += time.monotonic() - began
    return not args.trials or row.trials < args.trials


def table(rows: list[Row]) -> str:
    lines = [
        (row.kind.group, f'{row.kind.name}: not possible here, {row.absent}', '', '', '')
        if row.absent
        else (row.kind.group, row.kind.what, *numbers(row))
        for row in rows
        if row.trials or row.absent
    ]
    sums = [sum(column) for column in zip(*map(numbers, rows))]
    cells = [('group', 'trouble', 'made', 'trials held', 'broke'), *lines, ('all', '', *sums)]
    return aligned([tuple(f'{cell:,}' if isinstance(cell, int) else cell for cell in line) for line in cells])


def numbers(row: Row) -> tuple[int, int, int]:
    """Troubles made, trials that held, trials that did not."""
    return row.tried, row.trials - len(row.broke), len(row.broke)


def faults(rows: list[Row], seed: int) -> str:
    """The trials that broke, each with how to run it again."""
    lines = []
    for row in rows:
        for trial, what in list(row.broke.items())[:SHOWN]:
            again = shlex.join(['--only', row.kind.name, '--seed', str(seed), '--first', str(trial), '--trials', '1'])
            lines.append(f'* {what} (`python scripts/storm.py {again}`)')
        if len(row.broke) > SHOWN:
            lines.append(f'* {row.kind.name}: {counted(len(row.broke) - SHOWN, "more trial")}')
    return '\nWhat did not hold:\n\n' + '\n'.join(lines) + '\n' if lines else ''


def write(path: Path, text: str, rows: list[Row]):
    """Keep the table: as JSON, between its marks in a page that has them, or as a page of its own."""
    if path.suffix == '.json':
        write_json(
            path,
            [
                {
                    'group': row.kind.group,
                    'kind': row.kind.name,
                    'trials': row.trials,
                    'made': row.tried,
                    'broke': row.broke,
                    'seconds': round(row.seconds, 1),
                    'not_possible': row.absent or None,
                }
                for row in rows
            ],
        )
        return
    before, after = '# Storm\n\n', ''
    with contextlib.suppress(FileNotFoundError):
        page = path.read_text(encoding='utf-8')
        if BEGIN in page and END in page:
            before, after = page.partition(BEGIN)[0], page.partition(END)[2]
            text = f'{BEGIN}\n\n{text}\n{END}'
    write_text(path, before + text + after)


if __name__ == '__main__':
    sys.exit(main())
