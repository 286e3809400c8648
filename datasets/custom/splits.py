"""Splits of images that were found: by list files, or by shares that are drawn with a seed."""

import hashlib
import os
from itertools import accumulate
from pathlib import Path, PurePosixPath

from datasets.collection.paired import read_lines
from datasets.custom.mistakes import Mistake, counted_names
from utils.files.archives import locate

ORDER = ('val', 'test', 'train')  # train gets what the others leave


def share_of(paths, splits: dict, seed: int, split: str) -> list:
    """The sorted paths of `split`. splits: {split: share}; train without a share gets the rest.

    The order that is cut into shares depends on nothing but seed and path: images that come later move few others.
    Raises Mistake.
    """
    order = sorted(paths, key=lambda path: hashlib.sha256(f'{seed} {path}'.encode(errors='surrogateescape')).digest())
    shares = [splits.get(name, 0.0) for name in ORDER]
    if 'train' not in splits:
        shares[-1] = 1 - sum(shares)
    ends = [0, *(round(total * len(order)) for total in accumulate(shares))]
    place = ORDER.index(split)
    chosen = sorted(order[ends[place] : ends[place + 1]])
    if not chosen:
        raise Mistake(f'splits: the shares leave {split} none of {len(order)} images; change them')
    return chosen


class ListFile:
    """A text file with an image on each line: the end of its path, with or without extension; with_labels: and its
    label.

    lines: those images; labels: their labels, None each without them. Raises Mistake, or FileNotFoundError for a
    missing file.
    """

    def __init__(self, root, beside: Path, name: str, key: str, with_labels: bool):
        self.name, self.key = name, key
        places = [root / name, beside / os.path.expanduser(name)]
        path = next((place for place in places if locate(place).is_file()), places[0])
        try:
            lines = read_lines(path, 'a list is looked for below root and beside this file')
        except (FileNotFoundError, ValueError) as error:
            raise Mistake(f'{key}: {error}') from None
        if not lines:
            raise Mistake(f'{key}: {name} lists nothing; write an image on each line')
        pairs = [self._pair(line) if with_labels else (line, None) for line in lines]
        self.lines, self.labels = (
            [pair[place].removeprefix('./') if pair[place] else None for pair in pairs] for place in (0, 1)
        )

    def _pair(self, line):
        """(image, label) of a line: a tab, else a comma, else blanks stand between them."""
        for separator in ('\t', ',', None):
            parts = [part.strip() for part in line.split(separator)]
            if len(parts) == 2:
                return parts
        raise Mistake(
            f'{self.key}: labels is missing, so each line has to hold an image and its label with a tab in between, but'
            f' in {self.name} {line!r} does not; write so, or give labels'
        )

    def paths(self, names: 'Names') -> list:
        """The path of each line's image below the root, None where there is none. Raises Mistake when a line fits
        several."""
        return [names.find(line, f'{self.key}: in {self.name}') for line in self.lines]


class Names:
    """Paths by what they end with."""

    def __init__(self, paths):
        self.by_name = {}
        for path in paths:
            for name in {PurePosixPath(path).name, PurePosixPath(path).stem}:
                self.by_name.setdefault(name, []).append(path)

    def find(self, end: str, where: str):
        """The path that ends with the folders and the name of `end`, with or without its extension, or None."""
        fitting = [
            path
            for path in self.by_name.get(PurePosixPath(end).name, ())
            if f'/{end}' in (f'/{path}'[-len(end) - 1 :], _without_ending(path, end))
        ]
        if len(fitting) > 1 and end not in fitting:
            raise Mistake(f'{where}, {end!r} fits {counted_names(fitting)}; write more of the path')
        return end if end in fitting else next(iter(fitting), None)


def _without_ending(path, end):
    return f'/{PurePosixPath(path).with_suffix("")}'[-len(end) - 1 :]
