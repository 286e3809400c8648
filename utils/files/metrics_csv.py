"""Table of a run's numbers, metrics.csv: a header, a row per epoch and phase, a column per number.

    pandas.read_csv('metrics.csv').set_index(['phase', 'epoch']).select_dtypes('number')

Phases: `train` (means over the epoch's batches), `val` (the scores), `iou` (of each class, columns iou/<class>) and
`swa` (the score of the weights averaged by --swa_epochs).
`timestamp` is Unix time. runx's sumx reads the same file: it looks for names in front of the numbers of a `val` row,
and for `start` and a time behind `timestamp` in the first line. So those numbers have a column without a title before
them that holds their names, and one column is titled by the time at which the run started.
"""

import csv
import io
import time
from pathlib import Path

from utils.files.atomic import write_text

NAME = 'metrics.csv'
_FIRST = ('epoch', 'timestamp')  # the first numbers of a row


class MetricsTable:
    """start: Unix time of the run's first start; rows: (phase, epoch) -> {name: number}, in the order of the file;
    is_current: whether it was read from a table, not from the lines that runx's logx writes."""

    def __init__(self, start: float | None = None):
        self.start = time.time() if start is None else start
        self.rows: dict[tuple[str, int], dict[str, float]] = {}
        self.is_current = True

    @classmethod
    def read(cls, path) -> 'MetricsTable':
        """The table of a file, or what stands in the lines of an earlier version: of an epoch that was done twice the
        later one. Raises ValueError for another file, OSError where there is none."""
        text = Path(path).read_text(encoding='utf-8', errors='surrogateescape')
        try:
            lines = [line for line in csv.reader(io.StringIO(text, newline='')) if line]
            if lines and lines[0][:2] == ['phase', 'start']:
                return cls._of_table(lines)
            return cls._of_pairs(lines)
        except (csv.Error, ValueError, LookupError, OverflowError) as error:
            raise ValueError(
                f'{path}: is no table of numbers of a run ({error}); remove it, or give another folder'
            ) from error

    @classmethod
    def _of_table(cls, lines):
        header, table = lines[0], cls(float(lines[0][5]))
        numbers = {place: name for place, name in enumerate(header) if name and place not in (0, 1, 5)}
        for line in lines[1:]:
            row = {name: _number(line[place]) for place, name in numbers.items() if line[place : place + 1] > ['']}
            table.rows[line[0], _epoch(row)] = row
        return table

    @classmethod
    def _of_pairs(cls, lines):
        table, starts = cls(), []
        for line in lines:
            if line[0] not in ('start', 'train', 'val'):
                raise ValueError(f'a line begins with {line[0][:40]!r}')
            row = {name: _number(text) for name, text in zip(line[1::2], line[2::2])}
            if line[0] == 'start':
                starts.append(row['timestamp'])
            elif {'epoch', 'timestamp'} <= row.keys():  # else the end of a line was lost with its process
                table.rows[line[0], _epoch(row)] = row
        table.start = min([*starts, *(row['timestamp'] for row in table.rows.values())], default=table.start)
        table.is_current = False
        return table

    def put(self, phase: str, epoch: int, numbers: dict):
        """Set the row of a phase of an epoch, now."""
        self.rows.pop((phase, epoch), None)
        self.rows[phase, epoch] = {'epoch': epoch, 'timestamp': time.time(), **numbers}

    def cut(self, epochs: int) -> int:
        """Leave the rows of the first `epochs` epochs alone; returns how many went. Without rows the run starts now."""
        before = len(self.rows)
        self.rows = {key: row for key, row in self.rows.items() if key[1] < epochs}
        if not self.rows:
            self.start = time.time()
        return before - len(self.rows)

    def of(self, phase: str) -> dict[int, dict]:
        """epoch -> numbers of a phase."""
        return {epoch: row for (name, epoch), row in self.rows.items() if name == phase}

    def write(self, path):
        """Write the file, whole or not at all."""
        named = list(dict.fromkeys([*_FIRST, *(name for row in self.of('val').values() for name in row)]))
        others = dict.fromkeys(name for row in self.rows.values() for name in row if name not in named)
        titles = ['start', '', repr(float(self.start)), *[''] * len(named)]
        header = ['phase', *(cell for pair in zip(titles, named) for cell in pair)]
        header += [titles[2]] * (len(named) == 2)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator='\n')
        writer.writerow([*header, *others])
        for (phase, _), row in self.rows.items():
            line = [phase]
            for name in named:
                line += [name if phase == 'val' else '', row.get(name, '')]
            if phase != 'val':
                line += [''] * (len(header) - len(line))
                line += [row.get(name, '') for name in others]
            writer.writerow(line)
        write_text(path, out.getvalue().encode('utf-8', 'surrogateescape').decode('utf-8', 'replace'), durable=False)


def _epoch(row: dict) -> int:
    epoch = int(row['epoch'])
    if epoch < 0:
        raise ValueError(f'epoch {epoch}')
    return epoch


def _number(text: str) -> float:
    return int(text) if text.lstrip('-').isdigit() else float(text)
