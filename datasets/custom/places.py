"""Places of a custom dataset's files, from the file of --data_yaml: images, labels, and how they are split.

docs/datasets.md describes the keys. Every mistake is a Mistake, one sentence that begins with the key.
"""

import os
from pathlib import Path
from typing import NamedTuple

from datasets.custom.mistakes import Mistake, check_keys, kind_of
from datasets.custom.patterns import Pattern

SPLITS = ('train', 'val', 'test')
LIST_ENDINGS = ('.txt', '.lst', '.csv')
FOLDERS, LISTS, SHARES = 'folders', 'lists', 'shares'


class Places(NamedTuple):
    """Where the files are. root: a folder or archive; images: Patterns; labels: Pattern, or None when lists name them.

    kind: what `splits` {split: value} holds: FOLDERS (names in the place of {split}), LISTS (files) or SHARES (of the
    images, drawn with `seed`).
    """

    root: Path
    images: list
    labels: Pattern | None
    kind: str
    splits: dict
    seed: int


def read_places(values: dict, folder: Path) -> Places:
    """The keys root, images, labels and splits. folder: that of the file, which a relative root starts from."""
    root = values.get('root', '.')
    if not isinstance(root, str) or not root:
        raise Mistake(f'root: is {root!r} ({kind_of(root)}), expected a folder, .zip or .tar file')
    patterns = values.get('images')
    images = (
        [_pattern('images', text) for text in (patterns if isinstance(patterns, list) else [patterns])]
        if patterns is not None
        else []
    )
    if not images and not _are_lists(values.get('splits')):
        raise Mistake('images: is missing; give a pattern of paths below root, such as images/{split}/**/*.jpg')
    labels = _pattern('labels', values['labels']) if values.get('labels') is not None else None
    kind, splits, seed = _splits(values.get('splits'), images)
    _check_together(kind, labels)
    for split in splits if kind == FOLDERS else ():
        for pattern in images:
            _pattern(f'splits.{split}', pattern.text.replace('{split}', splits[split]))
    return Places(folder / os.path.expanduser(root), images or [Pattern('**/*')], labels, kind, splits, seed)


def _are_lists(splits) -> bool:
    return isinstance(splits, dict) and any(isinstance(value, str) for value in splits.values())


def _pattern(key, text) -> Pattern:
    if not isinstance(text, str) or not text:
        raise Mistake(
            f'{key}: holds {text!r} ({kind_of(text)}), expected a pattern of paths below root, such as'
            f' {key}/{{split}}/*.png'
        )
    try:
        return Pattern(text)
    except ValueError as error:
        raise Mistake(f'{key}: {error}') from None


def _splits(given, images):
    """(kind, {split: value}, seed)."""
    by_folder = [pattern for pattern in images if 'split' in pattern.fields]
    if by_folder and len(by_folder) < len(images):
        raise Mistake('images: some patterns have {split} and others have not; give it to all of them or to none')
    if given is None and by_folder:
        return FOLDERS, {split: split for split in SPLITS}, 0
    if not isinstance(given, dict) or not given:
        state = 'missing' if given is None else kind_of(given) if given else 'empty'
        raise Mistake(
            f'splits: is {state}, so nothing says which images are for training; put {{split}} into images, or give'
            ' lists, as in splits: {train: train.txt, val: val.txt}, or shares, as in splits: {val: 0.1}'
        )
    check_keys(given, (*SPLITS, 'seed'), 'splits.')
    values = {split: given[split] for split in SPLITS if split in given}
    numeric = [
        split for split, value in values.items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    wrong = next(
        (split for split, value in values.items() if split not in numeric and not (isinstance(value, str) and value)),
        None,
    )
    if wrong:
        raise Mistake(
            f'splits.{wrong}: is {values[wrong]!r}, expected a folder name, a list file or a share of the images'
        )
    if numeric and len(numeric) < len(values):
        raise Mistake(
            f'splits: {", ".join(f"{split}: {value}" for split, value in values.items())} mixes shares and names; give'
            ' one kind for all'
        )
    if not numeric and 'seed' in given:
        raise Mistake('splits.seed: is only for shares of the images, as in splits: {val: 0.1, seed: 0}; leave it out')
    if numeric:
        return SHARES, _shares(values, by_folder), _seed(given)
    lists = [split for split, value in values.items() if Path(value).suffix.lower() in LIST_ENDINGS]
    if by_folder and lists:
        raise Mistake(
            f'splits.{lists[0]}: {values[lists[0]]!r} is a list, but images has {{split}}, which stands for folders;'
            ' take it out'
        )
    return (FOLDERS if by_folder else LISTS), values, 0


def _shares(values, by_folder):
    if by_folder:
        raise Mistake(
            'splits: gives shares, but images has {split}, which stands for the folder of each split; give one of'
            ' the two'
        )
    for split, share in values.items():
        if not 0 < share <= 1:
            raise Mistake(
                f'splits.{split}: is {share}, expected a share of the images above 0 and up to 1, such as 0.1'
            )
    if sum(values.values()) > 1 + 1e-9:
        raise Mistake(
            f'splits: the shares {", ".join(f"{split} {share}" for split, share in values.items())} are more than 1'
            ' together, so splits would overlap; lower one'
        )
    return values


def _seed(given):
    seed = given.get('seed', 0)
    if type(seed) is not int:
        raise Mistake(f'splits.seed: is {seed!r}, expected a whole number')
    return seed


def _check_together(kind, labels):
    if labels is None and kind != LISTS:
        raise Mistake('labels: is missing; give the path of the label of each image, such as labels/{split}/{stem}.png')
    if labels is not None and 'stem' not in labels.fields:
        raise Mistake(
            f"labels: {labels.text!r} lacks {{stem}}, the image's file name without its extension, so one label would"
            ' fit every image; add it'
        )
    if labels is not None and 'split' in labels.fields and kind != FOLDERS:
        raise Mistake(
            'labels: has {split}, but images has not, so there are no folders of splits; write the folder itself, ** or'
            ' {folder}'
        )
