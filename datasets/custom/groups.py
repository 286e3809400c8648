"""Groups of images that look alike, frames of one video or the photos of one folder, and folds made of whole groups."""

import hashlib
import re
from collections import Counter, defaultdict
from pathlib import PurePosixPath

from datasets.custom.mistakes import Mistake
from utils.cli.wording import counted

SPLIT_NAMES = {
    'train': ('train', 'training'),
    'val': ('val', 'valid', 'validation'),
    'test': ('test', 'testing'),
}
WAYS = ('folder', 'video', 'image')


def named_split(path: str) -> str | None:
    """The split that a folder in a path is named after."""
    parts = [part.lower() for part in PurePosixPath(path).parts[:-1]]
    return next((name for name, words in SPLIT_NAMES.items() if any(word in parts for word in words)), None)


def folder_of(path: str) -> str:
    return str(PurePosixPath(path).parent)


def video_of(path: str) -> str:
    """A file name up to its last number."""
    return re.sub(r'[_\-. ]?[A-Za-z]?\d+\D*$', '', PurePosixPath(path).stem)


def by_hash(names, seed: int = 0) -> list:
    """Names in an order that depends on them and the seed alone, and not on their alphabet."""
    salt = f'{seed} ' if seed else ''
    return sorted(names, key=lambda name: hashlib.sha256(f'{salt}{name}'.encode(errors='surrogateescape')).digest())


def folds_of(paths, count: int, way: str = 'auto', seed: int = 0) -> tuple[dict, str]:
    """({path: fold 0 .. count - 1}, what stays together): whole groups, the largest first, each to the smallest fold.

    way: of WAYS, or 'auto': folders (but for those named after splits) where there are `count` of them, else videos,
    and single images where all have one name but for its number. Raises Mistake where there are too few groups.
    """
    ways = {'folder': _place, 'video': lambda path: (_place(path), video_of(path)), 'image': lambda path: path}
    sizes = {name: Counter(map(key, paths)) for name, key in ways.items()}
    if way == 'auto':
        way = next((name for name in ('folder', 'video') if len(sizes[name]) >= count), None)
        if way is None and len(sizes['video']) > 1:
            raise Mistake(
                f'--folds {count}: there are only {counted(len(sizes["folder"]), "folder")} and'
                f' {counted(len(sizes["video"]), "video")} (names but for their numbers) to be kept together; give'
                ' fewer folds, or --fold_by image where neighbouring frames are not alike'
            )
        way = way or 'image'
    if len(sizes[way]) < count:
        raise Mistake(f'--folds {count}: there are only {counted(len(sizes[way]), way)}; give fewer folds')
    held, fold_of = [0] * count, {}
    order = by_hash(sizes[way], seed)
    for group in sorted(order, key=lambda group: -sizes[way][group]):
        fold_of[group] = held.index(min(held))
        held[fold_of[group]] += sizes[way][group]
    told = {
        'folder': 'whole folders stay together',
        'video': 'whole videos (names without their numbers) stay together',
        'image': 'single images are held out: the score says little if they are frames of videos',
    }
    return {path: fold_of[ways[way](path)] for path in paths}, told[way]


def _place(path: str) -> str:
    """The folder of an image, without folders that are named after splits."""
    words = {word for names in SPLIT_NAMES.values() for word in names}
    return '/'.join(part for part in PurePosixPath(path).parts[:-1] if part.lower() not in words)


def grouped(items, key) -> dict:
    """{key(item): the items}, in their order."""
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
