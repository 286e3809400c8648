"""Record of a run in its folder: the lines of logging.log, the numbers of metrics.csv, and what the trackers keep.

Kept by one process of a run. What trackers and other threads fail at is told once in the log and ends nothing; a log or
a table that cannot be written ends the run.
"""

from contextlib import suppress
from pathlib import Path

from engine import trackers
from utils.cli.wording import counted
from utils.files import metrics_csv
from utils.files.atomic import WriteError, write_error
from utils.files.metrics_csv import MetricsTable

LOG, FLAGS = 'logging.log', 'hparams.json'


class Record:
    """The record in `directory`; tracked_by: names of trackers, flags: by name, for them. Closed until `open`."""

    def __init__(self, directory, tracked_by=(), flags=None):
        self.directory, self._names = Path(directory), tracked_by
        self._flags = {name: value for name, value in (flags or {}).items() if name != 'given'}
        self._log, self._table, self._trackers, self._step = None, None, None, 0
        self.failures: list[str] = []  # of other threads, to be told

    def open(self) -> list[str]:
        """Begin or go on; returns lines about what was found of earlier runs. Raises WriteError."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._log = open(self.directory / LOG, 'a', encoding='utf-8', errors='backslashreplace')  # noqa: SIM115
            self._table, found = self._read_table()
            self._write_table()
        except OSError as error:
            raise error if isinstance(error, WriteError) else write_error(self.directory, error) from error
        return found

    def begin(self, epochs: int, step: int):
        """Go on after `epochs` epochs and `step` optimizer steps: later rows are of work that was lost."""
        self._step = step
        self._table.cut(epochs)
        self._write_table()

    def line(self, text: str):
        """Append a line to logging.log."""
        try:
            self._log.write(text + '\n')
            self._log.flush()
        except OSError as error:
            raise write_error(self.directory / LOG, error) from error

    def row(self, phase: str, epoch: int, numbers):
        """Set a row of metrics.csv."""
        self._table.put(phase, epoch, dict(numbers))
        self._write_table()

    def track(self, method: str, *arguments):
        """Call every tracker; the first call starts them."""
        if self._trackers is None:
            self._trackers = trackers.start(self._names, self.directory, self._flags, self._step)
        for tracker in self._trackers:
            tracker.call(method, *arguments)

    def flush(self):
        """Wait until the trackers have written what they were told."""
        for tracker in self._trackers or ():
            tracker.flush()

    def take_failures(self) -> list[str]:
        """Lines about what has failed in the background since the last call."""
        lines = [*self.failures, *filter(None, (tracker.take_failure() for tracker in self._trackers or ()))]
        self.failures.clear()
        return lines

    def check_stands(self):
        """Raise WriteError where the folder was taken away."""
        if not any((self.directory / name).exists() for name in (FLAGS, LOG)):
            raise WriteError(
                f'{self.directory}: is gone: the result directory was removed, renamed or unmounted while this run'
                ' wrote to it; bring it back and go on with --resume auto, or start anew with a --result_dir that stays'
            )

    def end_trackers(self):
        """Wait until the trackers have written all, and end them."""
        for tracker in self._trackers or ():
            tracker.close()

    def close(self):
        """Close the log."""
        with suppress(OSError):
            self._log.close()

    def _read_table(self):
        """(table, lines about it): of metrics.csv, which is put aside where it is something else."""
        path = self.directory / metrics_csv.NAME
        try:
            table = MetricsTable.read(path)
        except FileNotFoundError:
            return MetricsTable(), []
        except ValueError as error:
            aside = next(name for k in range(1, 1000) if not (name := path.with_name(f'metrics_{k}.csv')).exists())
            path.rename(aside)
            return MetricsTable(), [f'{error}; it is {aside.name} now, and a new one begins']
        if table.is_current:
            return table, []
        return table, [f'{path}: of an earlier version, now a table with {counted(len(table.rows), "row")} of it']

    def _write_table(self):
        self._table.write(self.directory / metrics_csv.NAME)
