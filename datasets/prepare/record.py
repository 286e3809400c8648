"""The record of a preparation: a hidden file beside the results that says which of them are complete, and from what
they were made.

One line of JSON per finished file, appended as the work goes on, so a killed run loses at most the files in its hands.
"""

import json
from contextlib import contextmanager, suppress
from pathlib import Path

from datasets.prepare.jobs import Job, stamp
from utils.files.atomic import write_error

try:
    import fcntl
except ImportError:  # Windows: two runs at once are then up to the person
    fcntl = None


class Record:
    """What earlier runs of program `name` made in `base`, by path below it."""

    def __init__(self, base: Path, name: str):
        self.base, self.path = base, base / f'.prepared_{name}.jsonl'
        self.entries, self.file = {}, None
        if self.path.is_file():
            for line in self.path.read_text(encoding='utf-8', errors='replace').splitlines():
                # the last line of a killed run may be half
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    entry = json.loads(line)
                    self.entries[entry['target']] = entry

    def made(self, path: Path) -> bool:
        """True when the file was written, or taken over, by an earlier run."""
        return self._key(path) in self.entries

    def is_done(self, job: Job) -> bool:
        """True when the target stands as it was recorded, made by the same recipe from the same sources."""
        entry = self.entries.get(self._key(job.target))
        if entry is None or entry.get('recipe') != job.recipe():
            return False
        made, sources = stamp(job.target), [stamp(source) for source in job.sources]
        return (
            made is not None
            and list(made) == entry.get('made')
            and [list(each or ()) for each in sources] == entry.get('sources')
        )

    def notes(self, job: Job) -> tuple:
        """What was noted when the target of `job` was made."""
        return tuple(self.entries.get(self._key(job.target), {}).get('notes', ()))

    def _key(self, path):
        return path.relative_to(self.base).as_posix()

    @contextmanager
    def appending(self):
        """Open the record for `add`. Raises ValueError while another run prepares the same folder, WriteError when it
        cannot be written."""
        with self._open() as self.file:
            self._lock()
            if self.path.stat().st_size and not self.path.read_bytes().endswith(b'\n'):
                self._append('\n')
            yield self

    def add(self, job: Job, sources, outcome):
        """Record that the target of `job` is complete; sources: their stamps from before it was made."""
        entry = {'target': self._key(job.target), 'recipe': job.recipe(), 'sources': sources, 'made': outcome.made}
        if outcome.notes:
            entry['notes'] = outcome.notes
        self._append(json.dumps(entry) + '\n')

    def _open(self):
        try:
            return open(self.path, 'a', encoding='utf-8')
        except OSError as error:
            raise write_error(self.path, error) from error

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
