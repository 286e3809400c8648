"""Splits of images that were found: by list files, or by shares that are drawn with a seed."""

import hashlib
import os
import re
from itertools import accumulate
from pathlib import Path, PurePosixPath

from datasets.collection.paired import read_lines
from datasets.custom.mistakes import Mistake, counted_names
from utils.cli.wording import listed
from utils.files.archives import locate, printed

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
    """A text file with an image on each line and, where no pattern says where labels are, its label.

    Lines are read as people have them: the end of an image's path, with or without its extension, or a path that starts
    above the root, or at /, with / or \\ between folders; a tab, a comma, a semicolon or blanks before the label.

    paths: of each line's image below the root, None where there is none; lines: the images as they are written; labels:
    None each without them. Raises Mistake, or FileNotFoundError for a missing file.
    """

    def __init__(self, root, beside: Path, name: str, key: str, with_labels: bool, names: 'Names'):
        self.name, self.key, self.root = name, key, root
        places = [root / name, beside / os.path.expanduser(name)]
        path = next((place for place in places if locate(place).is_file()), places[0])
        try:
            lines = read_lines(path, 'a list is looked for below root and beside this file')
        except (FileNotFoundError, ValueError) as error:
            raise Mistake(f'{key}: {error}') from None
        if not lines:
            raise Mistake(f'{key}: {name} lists nothing; write an image on each line')
        self.second_columns = 0  # lines that name a label although a pattern does
        self._above = set()  # what stood before the paths below the root
        self.lines, self.paths, self.labels = [], [], []
        for line in lines:
            for values, value in zip((self.lines, self.paths, self.labels), self._read(line, with_labels, names)):
                values.append(value)
        if len(self._above) > 1:
            raise Mistake(
                f'{key}: {name} lists images below {listed(sorted(self._above), 3)}, which cannot all be {root}; write'
                ' paths that start there'
            )

    def _read(self, line, with_labels, names):
        """(image as written, its path, label) of a line."""
        if not with_labels:
            path = self._find(names, line)
            if path is not None:
                return line, path, None
        pairs = list(_pairs(line))
        for image, label in pairs:
            path = self._find(names, image)
            if path is not None:
                self.second_columns += not with_labels
                return image, path, label if with_labels else None
        if not with_labels:
            return line, None, None
        if not pairs or self._find(names, line) is not None:
            raise Mistake(
                f'{self.key}: labels is missing, so each line has to hold an image and its label with a tab in between,'
                f' but in {self.name} {line!r} does not; write so, or give labels'
            )
        return pairs[0][0], None, pairs[0][1]

    def _find(self, names, text):
        path, above = names.find(text, f'{self.key}: in {self.name}')
        if above:
            self._above.add(above)
        return path

    def label_files(self) -> list:
        """The path of each line's label: as it is written, below the root, or there without what the first one has too
        much at its start."""
        first = _parts(self.labels[0])
        is_there = _is_file(self.root / self.labels[0])
        cut = 0 if is_there else next((n for n in range(len(first)) if _is_file(self._below(first[n:]))), None)
        if is_there or cut is None:
            return [self.root / label for label in self.labels]
        every = [_parts(label) for label in self.labels]
        return [self._below(parts[cut:] if parts[:cut] == first[:cut] else parts) for parts in every]

    def _below(self, parts):
        return self.root / '/'.join(parts)

    def why_absent(self, names: 'Names', patterns) -> str:
        """What to say of the lines whose images are not among those that match."""
        absent = [line for line, path in zip(self.lines, self.paths) if path is None]
        unmatched = [line for line in absent if _is_file(self._below(_parts(line)))]
        wanted = ' or '.join(pattern.text for pattern in patterns)
        told = f'{self.key}: {self.name} lists {counted_names(unmatched or absent)} that'
        if unmatched:
            are = 'is' if len(unmatched) == 1 else 'are'
            return f'{told} {are} below {self.root} but {are} left out by images: {wanted}; widen that pattern'
        near = names.of_other_ending(absent[0])
        hint = f' (there is {near})' if near else ''
        return (
            f'{told} are not among the {len(names)} images that match {wanted} in {self.root}{hint}; correct the list,'
            ' images or root'
        )


def _pairs(line):
    """The (image, label) that a line may stand for, likeliest first; names may hold blanks."""
    for separator in ('\t', ',', ';'):
        parts = [part.strip().strip('"\'') for part in line.split(separator)]
        if len(parts) == 2 and all(parts):
            yield parts[0], parts[1]
    words = line.split()
    if len(words) == 2:
        yield words[0].strip('"\''), words[1].strip('"\'')
    for match in re.finditer(r'\s+', line) if len(words) > 2 else ():
        yield line[: match.start()].strip('"\''), line[match.end() :].strip('"\'')


def _parts(text: str) -> list:
    """The names in a path, whatever stands between them: without /, drive, . and .. at its start."""
    parts = [part for part in printed(text).replace('\\', '/').split('/') if part not in ('', '.')]
    while parts and (parts[0] == '..' or re.fullmatch('[A-Za-z]:', parts[0])):
        del parts[0]
    return parts


def _is_file(path) -> bool:
    try:
        return locate(path).is_file()
    except OSError:  # a name that is too long for one
        return False


class Names:
    """Paths by what they end with."""

    def __init__(self, paths):
        self.by_name, self.count = {}, 0
        for path in paths:
            self.count += 1
            shown = PurePosixPath(printed(path))
            for name in {shown.name, shown.stem}:
                self.by_name.setdefault(name, []).append(path)

    def __len__(self):
        return self.count

    def find(self, text: str, where: str) -> tuple:
        """(the path that `text` means, what stood before it): one that ends with the folders and the name of `text`,
        with or without its extension; or one that `text` ends with. (None, '') when there is none.

        Raises Mistake when several fit.
        """
        parts = _parts(text)
        if not parts:
            return None, ''
        end = '/'.join(parts)
        near = self.by_name.get(parts[-1], ())
        for above in (False, True):
            fitting = [path for path in near if any(_fits(name, end, above) for name in _spellings(path))]
            exact = [path for path in fitting if printed(path) == end]
            if above and fitting:  # the longest is the one with the fewest folders above
                longest = max(map(len, fitting))
                fitting = [path for path in fitting if len(path) == longest]
            if len(fitting) > 1 and not exact:
                raise Mistake(f'{where}, {text!r} fits {counted_names(fitting)}; write more of the path')
            if fitting:
                path = (exact or fitting)[0]
                depth = path.count('/') + 1
                return path, '/'.join(parts[:-depth]) if above else ''
        return None, ''

    def of_other_ending(self, text: str):
        """A path with the name of `text` but for its extension, or None."""
        parts = _parts(text)
        return next(iter(self.by_name.get(PurePosixPath(parts[-1]).stem, ())), None) if parts else None


def _spellings(path) -> tuple:
    """A path as a list may have it: with and without its extension."""
    shown = printed(path)
    return shown, str(PurePosixPath(shown).with_suffix(''))


def _fits(name: str, end: str, above: bool) -> bool:
    return f'/{end}'.endswith(f'/{name}') if above else f'/{name}'.endswith(f'/{end}')
