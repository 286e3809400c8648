"""Findings of a verification, each a sentence with the files that it is about."""

from typing import NamedTuple

from utils.cli.wording import shortened

ERROR, WARNING, NOTE = 'error', 'warning', 'note'
SHOWN = 10  # files of a sentence before it says only how many more there are


class Fault(NamedTuple):
    """A file and what is wrong with it."""

    file: object
    why: str

    def __str__(self):
        return f'{self.file}: {self.why}'


class Finding(NamedTuple):
    """level: 'error' when training would break or learn nothing, 'warning' when it would run, but not as meant, or
    'note'.

    kind: a name for programs that read verify.json. sentence: what was found, where, and the remedy. files: every file
    that it is about, as text, or a Fault where each has a reason of its own.
    """

    level: str
    kind: str
    sentence: str
    files: tuple = ()

    def lines(self) -> list:
        """For a terminal: the sentence, then the first files, one on each line."""
        files = shortened((f'  {file}' for file in self.files), SHOWN)
        return [f'{self.level}: {self.sentence}{self._colon()}', *files]

    def line(self) -> str:
        """The same on one line; a reason that several files share stands once, in front of them."""
        by_reason = {}
        for file in self.files[:SHOWN]:
            path, why = (str(file), '') if isinstance(file, str) else file
            by_reason.setdefault(why, []).append(str(path))
        told = '; '.join(_because(paths, why) for why, paths in by_reason.items())
        more = shortened(self.files, SHOWN, ' ')[SHOWN:]
        return f'{self.sentence}{self._colon()} {told}{"".join(more)}'.rstrip()

    def _colon(self) -> str:
        return ':' if self.files and not self.sentence.endswith('?') else ''


def _because(paths, why) -> str:
    """Files and what is wrong with them: 'a: is empty', 'is empty: a, b', or without a reason 'a, b'."""
    if not why:
        return ', '.join(paths)
    return f'{paths[0]}: {why}' if len(paths) == 1 else f'{why}: {", ".join(paths)}'


def title(dataset) -> str:
    """How sentences call a dataset: split 'train', with the kind of its labels where a split has several."""
    return f'split {dataset.split!r}' + ('' if dataset.quality == 'fine' else f' with {dataset.quality} labels')
