"""Pairs of images and labels in a folder, found by names and by what the files hold, and their splits.

A group is the files of one folder with one extension and one tail of their names (`_gtFine_labelIds`). A group is of
labels when samples of it are lossless and hold few values; the labels of a data set are the groups of one tail and
extension that go with most images.
"""

import re
from collections import Counter, defaultdict
from os.path import commonprefix
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from datasets.custom.groups import SPLIT_NAMES, by_hash, folder_of, grouped, named_split, video_of
from datasets.loading.formats import Undecodable, format_of, loss
from datasets.loading.reading import read_image

PREPARED = '# Written by python -m datasets.prepare.'  # how its description of a folder begins
FEW = 64  # different colours of a file that may be a label; photos have thousands
SAMPLES = 3
VAL_SHARE = 0.15  # of the images, at least, in whole folders or videos
_TAIL = re.compile(r'(?:[_\-.][A-Za-z][A-Za-z0-9]*)+$')
_HINTS = re.compile(r'label|mask|annot|gt|seg|semantic', re.IGNORECASE)


class Pair(NamedTuple):
    """Paths below the folder, with / between names."""

    image: str
    label: str


def find_pairs(root, paths) -> tuple:
    """(list of Pair, images without a label) of the image files `paths`, below `root`."""
    groups = defaultdict(list)
    tails = _tails(paths)
    for path in paths:
        groups[PurePosixPath(path).parent, PurePosixPath(path).suffix.lower(), tails[path]].append(path)
    labels, images = defaultdict(list), []
    for (_, ending, tail), members in groups.items():
        if _are_labels(root, members):
            labels[ending, tail].extend(members)
        else:
            images += members
    found = [_match(sorted(images), sorted(members), tails) for members in labels.values()]
    found.sort(key=lambda pairs: (len(pairs), sum(bool(_HINTS.search(pair.label)) for pair in pairs)))
    pairs = found[-1] if found else []
    paired = {pair.image for pair in pairs}
    return pairs, [image for image in sorted(images) if image not in paired]


def _tails(paths) -> dict:
    """path -> what its name ends with before the extension, where many files of the folder end so."""
    own = {path: (_TAIL.search(PurePosixPath(path).stem) or [''])[0] for path in paths}
    kind = {path: (PurePosixPath(path).parent, PurePosixPath(path).suffix.lower()) for path in paths}
    members, counts = Counter(kind.values()), Counter((kind[path], own[path]) for path in paths)
    return {
        path: own[path] if counts[kind[path], own[path]] >= max(2, members[kind[path]] / 5) else '' for path in paths
    }


def _are_labels(root, members) -> bool:
    """Whether samples of a group are lossless and hold few colours."""
    chosen = [members[place * len(members) // SAMPLES] for place in range(min(SAMPLES, len(members)))]
    return all(_has_few_colours(root / path) for path in chosen)


def _has_few_colours(path) -> bool:
    try:
        data = path.read_bytes()
        if loss(data, format_of(data)):
            return False
        image = read_image(path)
    except (Undecodable, ValueError, OSError):
        return False
    codes = image.reshape(-1, 3).astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    return len(np.unique(codes)) <= FEW


def _match(images, labels, tails) -> list:
    """The Pairs of images and labels of one core of their names, each label the one whose folders are most alike."""
    by_core = defaultdict(list)
    for path in labels:
        by_core[_core(path, tails)].append(path)
    return [
        Pair(image, max(by_core[core], key=lambda label: _alike(image, label)))
        for image in images
        if (core := _core(image, tails)) in by_core
    ]


def _core(path, tails) -> str:
    stem = PurePosixPath(path).stem
    return stem[: len(stem) - len(tails[path])]


def _alike(one, other) -> int:
    """How many folders two paths share, from the start and from the end; a folder train is in part one trainannot."""
    parts = [PurePosixPath(path).parent.parts for path in (one, other)]
    shared = len(commonprefix(parts)) + len(commonprefix([part[::-1] for part in parts]))
    return 10 * shared + sum(len(commonprefix(both)) for both in zip(*parts))


def split_pairs(pairs: list) -> tuple:
    """({split: Pairs}, how it was decided): by folders named after splits, else whole folders, videos, or single images
    are held out."""
    named = grouped(pairs, lambda pair: named_split(pair.image))
    if None not in named:
        return {name: named[name] for name in SPLIT_NAMES if name in named}, 'the folders are named after the splits'
    for key, what in ((folder_of, 'folders'), (video_of, 'videos (names without their numbers)')):
        groups = grouped(pairs, lambda pair, key=key: key(pair.image))
        if 2 <= len(groups) <= len(pairs) / 2:
            return _held_out(groups, len(pairs)), f'whole {what} are held out'
    single = {pair.image: [pair] for pair in pairs}
    return _held_out(
        single, len(pairs)
    ), 'single images are held out: the score says little if they are frames of videos'


def _held_out(groups: dict, total: int) -> dict:
    """train and val of whole groups, drawn by a hash of their names."""
    order = by_hash(groups)
    val = []
    for name in order[: len(order) - 1]:  # one stays for training
        if len(val) >= VAL_SHARE * total:
            break
        val += groups[name]
    held = set(val)
    train = [pair for name in sorted(groups) for pair in groups[name] if pair not in held]
    return {'train': train, 'val': sorted(val)} if val else {'train': train}
