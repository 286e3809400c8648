"""What a verification says: findings, each a sentence with the files that it is about."""
from typing import NamedTuple

ERROR, WARNING, NOTE = 'error', 'warning', 'note'
SHOWN = 10              # files of a sentence before it says only how many more there are


class Finding(NamedTuple):
    """level: 'error' when training would break or learn nothing, 'warning' when it would run but not as one thinks, or 'note'.

    kind: a name for programs that read verify.json. sentence: what was found, where, and the remedy. files: every file that
    it is about, with a reason behind it where each has its own.
    """

    level: str
    kind: str
    sentence: str
    files: tuple = ()

    def lines(self) -> list:
        """For a terminal: the sentence, then the first files, one on each line."""
        colon = ':' if self.files and not self.sentence.endswith('?') else ''
        return [f'{self.level}: {self.sentence}{colon}', *(f'  {file}' for file in first(self.files))]

    def line(self) -> str:
        """The same on one line."""
        return self.sentence + (f': {", ".join(first(self.files))}' if self.files else '')


def title(dataset) -> str:
    """How sentences call a dataset: split 'train', with the kind of its labels where a split has several."""
    return f'split {dataset.split!r}' + ('' if dataset.quality == 'fine' else f' with {dataset.quality} labels')


def first(names) -> list:
    """The first ten names, and how many more there are."""
    names = list(names)
    return names[:SHOWN] + ([f'... and {len(names) - SHOWN:,} more'] if len(names) > SHOWN else [])


def listed(names) -> str:
    """The first ten of some names as a part of a sentence: 'Car, Pole and 3 more'."""
    names = list(names)
    return ', '.join(names[:SHOWN]) + (f' and {len(names) - SHOWN} more' if len(names) > SHOWN else '')


def counted(count: int, one: str, many: str = '') -> str:
    """'1 label', '1,234 labels'."""
    return f'{count:,} {one if count == 1 else many or one + "s"}'
