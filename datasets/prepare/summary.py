"""What came of the files of a preparation, for the person at the terminal."""

from collections import Counter, defaultdict

SHOWN = 10  # names in a list before it says only how many more there are


class Summary:
    """Counts the files of one preparation by what became of them, with what was noted and why some were refused."""

    def __init__(self, base, count: int):
        self.base, self.count = base, count
        self.states, self.noted, self.refused = Counter(), defaultdict(list), Counter()

    def add(self, job, state: str, notes=(), why=''):
        """state: 'written', 'up to date' or 'refused', for the reason `why`; notes: sentences about the file of
        `job`."""
        self.states[state] += 1
        for note in notes:
            self.noted[note].append(self._name(job))
        if state == 'refused':
            self.refused[why] += 1

    def print_plan(self, todo):
        """What a run would do."""
        print(f'{self.base}: {self.count} files, {self.states["up to date"]} up to date, {len(todo)} to make')
        _print_list([self._name(job) for job in todo])

    def print(self):
        """What a run has done: a line of counts, then notes and refusals with the first names."""
        counts = ', '.join(
            f'{self.states[state]} {state}' for state in ('written', 'up to date', 'refused') if self.states[state]
        )
        print(
            f'{self.base}: {self.count} files: {counts}'
            + ('; nothing to do' if self.states['up to date'] == self.count else '')
        )
        for note, names in sorted(self.noted.items()):
            print(f'note: {note} ({len(names)} {"file" if len(names) == 1 else "files"}):')
            _print_list(names)
        if self.refused:
            print('refused:')
            _print_list([f'{why} ({count} files)' if count > 1 else why for why, count in self.refused.items()])

    def _name(self, job):
        return job.target.relative_to(self.base).as_posix()


def _print_list(lines):
    for line in lines[:SHOWN]:
        print(f'  {line}')
    if len(lines) > SHOWN:
        print(f'  ... and {len(lines) - SHOWN} more')
