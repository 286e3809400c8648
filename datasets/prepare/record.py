"""Record of a preparation: which results are complete and from what they were made, on the disk and for the terminal.

On the disk it is a hidden file beside the results with one line of JSON per finished file, appended as the work goes
on, so a killed run loses at most the files in its hands.
"""

import json
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets.prepare.converter import Job
from utils.cli.wording import counted, shortened
from utils.files.archives import fingerprint
from utils.files.atomic import write_error
from utils.files.limits import parse_json

try:
    import fcntl
except ImportError:  # Windows: two runs at once are then up to the person
    fcntl = None

SHOWN = 10  # names in a list before it says only how many more there are
WRITTEN, STANDS, REFUSED = 'written', 'up to date', 'refused'  # what becomes of a file


def stamp(path):
    """Numbers that change when the content of a file does (size, time of the last change); None when there is no
    file."""
    try:
        return fingerprint(path)
    except (FileNotFoundError, NotADirectoryError, KeyError):  # KeyError: not in its archive
        return None


class Record:
    """What this and earlier runs of converter `name` made in `base`, by path below it."""

    def __init__(self, base: Path, name: str):
        self.base, self.path = base, base / f'.prepared_{name}.jsonl'
        self.entries, self.file = {}, None
        self.states, self.noted, self.reasons = Counter(), defaultdict(list), Counter()
        self.refused = set()  # targets of this run
        if self.path.is_file():
            for line in self.path.read_text(encoding='utf-8', errors='replace').splitlines():
                # the last line of a killed run may be half
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    entry = parse_json(line)
                    self.entries[entry['target']] = entry

    def made(self, path: Path) -> bool:
        """True when the file was written, or taken over, by an earlier run."""
        return self._key(path) in self.entries

    def is_done(self, job: Job) -> bool:
        """True when the target stands as it was recorded, made by the same recipe from the same sources; it is counted
        then."""
        entry = self.entries.get(self._key(job.target))
        if entry is None or entry.get('recipe') != job.recipe():
            return False
        made, sources = stamp(job.target), [list(stamp(source) or ()) for source in job.sources]
        if made is None or list(made) != entry.get('made') or sources != entry.get('sources'):
            return False
        self._count(job, STANDS, entry.get('notes', ()))
        return True

    @contextmanager
    def appending(self):
        """Open the record for `add`. Raises ValueError while another run prepares the same folder, WriteError when it
        cannot be written."""
        try:
            self.file = open(self.path, 'a', encoding='utf-8')  # noqa: SIM115 - closed below
        except OSError as error:
            raise write_error(self.path, error) from error
        with self.file:
            self._lock()
            if self.path.stat().st_size and not self.path.read_bytes().endswith(b'\n'):
                self._append('\n')
            yield self

    def add(self, job: Job, sources, state: str, notes=(), why=''):
        """Enter what became of a job.

        Args:
            sources: their stamps from before it was made.
            state: WRITTEN, STANDS (the right file stood there) or REFUSED.
            notes: lines that go with the file.
            why: the reason of a refusal.
        """
        self._count(job, state, notes)
        if state == REFUSED:
            self.reasons[why] += 1
            self.refused.add(job.target)
            return
        entry = {
            'target': self._key(job.target),
            'recipe': job.recipe(),
            'sources': sources,
            'made': stamp(job.target),
        }
        self._append(json.dumps({**entry, **({'notes': notes} if notes else {})}) + '\n')

    def print_plan(self, todo: list):
        """Say what a run would do."""
        stand = self.states[STANDS]
        print(f'{self.base}: {stand + len(todo)} files, {stand} up to date, {len(todo)} to make')
        _print_list([self._key(job.target) for job in todo])

    def print_summary(self):
        """Say what a run has done: a line of counts, then notes and refusals with the first names."""
        states = [state for state in (WRITTEN, STANDS, REFUSED) if self.states[state]]
        counts = ', '.join(f'{self.states[state]} {state}' for state in states)
        idle = '; nothing to do' if states == [STANDS] else ''
        print(f'{self.base}: {self.states.total()} files: {counts}{idle}')
        for note, names in sorted(self.noted.items()):
            print(f'note: {note} ({counted(len(names), "file")}):')
            _print_list(names)
        if self.reasons:
            print('refused:')
            _print_list([f'{why} ({count} files)' if count > 1 else why for why, count in self.reasons.items()])

    def _key(self, path):
        return path.relative_to(self.base).as_posix()

    def _count(self, job, state, notes):
        self.states[state] += 1
        for note in notes:
            self.noted[note].append(self._key(job.target))

    def _append(self, text):
        try:
            self.file.write(text)
            self.file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error

    def _lock(self):
        if fcntl is None:
            return
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f'{self.base}: another run is preparing this folder at this moment; wait for it to end'
            ) from None
        except OSError:  # a file system without locks
            pass


def _print_list(lines):
    for line in shortened(lines, SHOWN, ''):
        print(f'  {line}')
