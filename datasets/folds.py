"""Folds of any data set: the images of train and val together, divided by folders, videos, a seed, or a list.

--folds 5 --fold 0                        whole folders or videos stay in one fold
--folds 5 --fold 0 --fold_seed 3          the same in another order
--folds 5 --fold 0 --fold_list folds.csv  lines of an image and its fold
"""

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

from config import cfg, scope
from datasets.base import Dataset, Item
from datasets.collection.paired import read_lines
from datasets.custom.groups import folds_of
from datasets.custom.mistakes import Mistake, counted_names
from utils.cli.wording import counted

LIST_REMEDY = 'give a text file of lines such as city/a.png,0: an image, and its fold from 0'


def fold(dataset: Dataset) -> tuple:
    """(root, items, notes) of the split of `dataset` that cfg.DATASET.FOLDS and the other keys of folds describe: of
    val --fold, of train all other folds. Raises ValueError."""
    folds, chosen = cfg.DATASET.FOLDS, cfg.DATASET.FOLD
    if chosen >= folds:
        raise ValueError(f'--fold {chosen}: expected 0 to {folds - 1}, the folds of --folds {folds}')
    with scope(DATASET__FOLDS=0):
        splits = [split for split in ('train', 'val') if split in type(dataset).describe()[1]]
        parts = [type(dataset)(split, dataset.quality) for split in splits]
    for name, value in vars(parts[0]).items():
        vars(dataset).setdefault(name, value)  # what finding the items has told a data set of its own
    root, items = together(parts)
    names = [item.name for item in items]
    try:
        fold_of, told = (
            listed_folds(names, cfg.DATASET.FOLD_LIST, folds)
            if cfg.DATASET.FOLD_LIST
            else folds_of(names, folds, cfg.DATASET.FOLD_BY, cfg.DATASET.FOLD_SEED)
        )
    except Mistake as error:
        raise ValueError(f'{dataset.source}: {error}') from None
    found = [item for item in items if (fold_of[item.name] == chosen) == (dataset.split == 'val')]
    count = f'{counted(len(found), "image")} of {len(items)} for {dataset.split}'
    notes = [note for part in parts for note in part.notes]
    return root, found, [*notes, f'fold {chosen} of {folds}: {count}; {told}']


def together(parts) -> tuple:
    """(root, items sorted by name) of splits of one data set; where their roots differ, names begin with the split."""
    if len({str(part.root) for part in parts}) == 1:
        root, items = parts[0].root, [item for part in parts for item in part.items]
    else:
        root = parts[0].root.parent
        items = [Item(item.image, item.label, f'{part.split}/{item.name}') for part in parts for item in part.items]
    return root, sorted(items, key=lambda item: item.name)


def listed_folds(names, file, folds: int) -> tuple[dict, str]:
    """({name: fold}, what was done) by a list of `folds` folds. A line has the end of an image's path, with or without
    its extension, and behind a comma, a semicolon or blanks the number of its fold. Raises Mistake."""
    ends = defaultdict(list)
    for name in names:
        path = PurePosixPath(name)
        for parts in {path.parts, path.with_suffix('').parts}:
            for start in range(len(parts)):
                ends['/'.join(parts[start:])].append(name)
    fold_of: dict = {}
    for line in read_lines(Path(os.path.expanduser(file)), LIST_REMEDY):
        *image, number = line.replace(',', ' ').replace(';', ' ').rsplit(None, 1)
        if not image or not number.isdecimal() or int(number) >= folds:
            raise Mistake(
                f'--fold_list {file}: {line!r} is no image and a fold from 0 to {folds - 1}, the folds of --folds'
                f' {folds}; correct the line'
            )
        found = ends.get(image[0].replace('\\', '/'), [])
        if len(found) != 1:
            what = 'no image of train and val' if not found else counted_names(found)
            raise Mistake(f'--fold_list {file}: {image[0]!r} fits {what}; write the path of one image')
        if fold_of.setdefault(found[0], int(number)) != int(number):
            raise Mistake(f'--fold_list {file}: has {found[0]} in two folds; leave one of the lines out')
    missing = [name for name in names if name not in fold_of]
    if missing:
        raise Mistake(f'--fold_list {file}: has no line for {counted_names(missing)} of {len(names)}; add them')
    return fold_of, f'as {file} lists them'
