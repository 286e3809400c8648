"""Files of the BRAVO benchmark: folders, endings, subsets, and the pictures of a submission.

A key is an image's path without any ending, `bravo_ACDC/fog/test/GOPR0475/GOPR0475_frame_000247`: predictions, ground
truth, samples and encoded files of one image share it.
"""

from typing import NamedTuple

import numpy as np

from aggregation.benchmarks.trees import Tree, image_size, read_gray
from utils.cli.wording import listed

CLASSES = 19


class Split(NamedTuple):
    """Endings of one split: image (several, as published or converted), prediction, confidence, ground truth, mask."""

    image: tuple[str, ...]
    prediction: str
    confidence: str
    truth: str
    mask: str


_CITYSCAPES_LIKE = Split(
    ('_leftImg8bit.png', '_leftImg8bit.jpg'),
    '_leftImg8bit_pred.png',
    '_leftImg8bit_conf.png',
    '_gt_labelTrainIds.png',
    '_gt_invIds.png',
)
SPLITS = {
    'ACDC': Split(
        ('_rgb_anon.png', '_rgb_anon.jpg'),
        '_rgb_anon_pred.png',
        '_rgb_anon_conf.png',
        '_gt_labelTrainIds.png',
        '_gt_invIds.png',
    ),
    'SMIYC': Split(('.jpg', '.png'), '_pred.png', '_conf.png', '_labels_semantic_fake.png', '_labels_semantic.png'),
    'outofcontext': _CITYSCAPES_LIKE,
    'synobjs': Split(('.png', '.jpg'), '_pred.png', '_conf.png', '_gt.png', '_mask.png'),
    'synflare': _CITYSCAPES_LIKE,
    'synrain': _CITYSCAPES_LIKE,
}
FOLDERS = tuple(f'bravo_{split}' for split in SPLITS)  # dumps are made folder by folder, a submission is one tree
ENCODED, SAMPLES = '_encoded.bin', '_samples.bin'

# subset -> (split, part of the path that belongs to it)
SUBSETS = {
    'ACDCfog': ('ACDC', '/fog/'),
    'ACDCrain': ('ACDC', '/rain/'),
    'ACDCnight': ('ACDC', '/night/'),
    'ACDCsnow': ('ACDC', '/snow/'),
    'synrain': ('synrain', ''),
    'SMIYC': ('SMIYC', ''),
    'synobjs': ('synobjs', ''),
    'synflare': ('synflare', ''),
    'outofcontext': ('outofcontext', ''),
}
OOD_SUBSETS = ('SMIYC', 'synobjs')
SEMANTIC_SUBSETS = tuple(subset for subset in SUBSETS if subset != 'SMIYC')
IMAGES = 3901  # of the whole benchmark


def split_of(name: str) -> str | None:
    """The split that a file's path belongs to, by its first folder `bravo_<split>`; None for a foreign path."""
    folder = name.partition('/')[0]
    return folder.removeprefix('bravo_') if folder in FOLDERS else None


def key_of(name: str, kind: str) -> str | None:
    """The key of the file `name` if it is a file of `kind`, else None.

    kind: a field of Split other than image, 'encoded' or 'samples'.
    """
    split = split_of(name)
    if split is None:
        return None
    ending = _ending(split, kind)
    return name.removesuffix(ending) if name.endswith(ending) else None


def _ending(split: str, kind: str) -> str:
    return {'encoded': ENCODED, 'samples': SAMPLES}.get(kind) or getattr(SPLITS[split], kind)


def image_key(name: str) -> str | None:
    """The key of an image, of its ground truth or its mask; None for other files.

    The folder `bravo_<split>` may stand anywhere in the path.
    """
    parts = name.split('/')
    name = next(('/'.join(parts[at:]) for at in range(len(parts)) if split_of('/'.join(parts[at:]))), None)
    if name is None:
        return None
    split = SPLITS[split_of(name)]
    if name.endswith((split.prediction, split.confidence, '_color.png')):
        return None
    # masks before images: where an image may end in .png, any of them does
    return next(
        (name.removesuffix(ending) for ending in (split.truth, split.mask, *split.image) if name.endswith(ending)), None
    )


def keys_of(names, kind: str) -> dict[str, str]:
    """key -> name of every file of `kind` among `names`."""
    return {key: name for name in names if (key := key_of(name, kind)) is not None}


def name_of(key: str, kind: str) -> str:
    """The path of the file of `kind` that belongs to `key`."""
    return key + _ending(split_of(key), kind)


def subset_of(key: str) -> str:
    """The subset of an image; its folder bravo_<split> where it is in none."""
    return next((subset for subset in SUBSETS if in_subset(key, subset)), key.partition('/')[0])


def in_subset(key: str, subset: str) -> bool:
    split, part = SUBSETS[subset]
    return split_of(key) == split and part in key


def prefix_of(folders, stems) -> str:
    """What to put before the stems of stored logits so that they are paths of the benchmark.

    'bravo_ACDC/' when each of `folders` lies in that folder and no stem names it; '' for other data. Raises ValueError
    when the folders are of different parts of the benchmark.
    """
    found = {next((part for part in reversed(folder.resolve().parts) if part in FOLDERS), None) for folder in folders}
    if len(found) > 1:
        raise ValueError(
            f'{", ".join(map(str, folders))}: lie in different folders of the benchmark'
            f' ({", ".join(sorted(map(str, found)))}); fuse one at a time, or give --prefix'
        )
    [folder] = found
    return f'{folder}/' if folder and not any(stem.startswith('bravo_') for stem in stems) else ''


def check_complete(truth: Tree, submission: Tree, samples: Tree | None) -> list[str]:
    """The keys of all images with ground truth, sorted; ValueError that counts and names what is missing of them."""
    keys = keys_of(truth.names, 'truth')
    if not keys:
        raise ValueError(
            f'{truth.path}: holds no ground truth of the benchmark (names such as'
            f' bravo_ACDC/fog/..._gt_labelTrainIds.png), only {listed(truth.names, 3)}; give the folder or tar that'
            ' holds the folders bravo_*'
        )
    _need(truth, keys, ['mask'], 'invalid masks')
    kinds = ['encoded'] if keys_of(submission.names, 'encoded') else ['prediction', 'confidence']
    _need(submission, keys, kinds, 'files of the submission')
    if samples is not None:
        _need(samples, keys, ['samples'], 'samples')
    return sorted(keys)


def _need(tree: Tree, keys, kinds, what: str):
    missing = [name for key in keys for kind in kinds if (name := name_of(key, kind)) not in tree]
    if missing:
        raise ValueError(
            f'{tree.path}: {len(missing)} {what} of {len(keys)} images are missing ({listed(sorted(missing))}); add'
            ' them'
        )


def read_prediction(tree: Tree, prediction: str, confidence: str) -> tuple[np.ndarray, np.ndarray]:
    """(classes uint8 (H, W) trainIds, confidence levels uint16 (H, W)) of a pair of PNGs.

    Raises ValueError naming a faulty one.
    """
    classes, levels = read_gray(tree, prediction), read_gray(tree, confidence)
    if classes.dtype != np.uint8 or classes.max(initial=0) >= CLASSES:
        raise ValueError(
            f'{tree.path}: {prediction} holds {classes.dtype} values up to {classes.max(initial=0)}; '
            f'expected 8-bit trainIds 0 to {CLASSES - 1}'
        )
    if levels.dtype != np.uint16:
        raise ValueError(f'{tree.path}: {confidence} is {levels.dtype}, expected 16-bit grey values')
    if levels.shape != classes.shape:
        raise ValueError(
            f'{tree.path}: {confidence} is {image_size(levels)} pixels, {prediction} {image_size(classes)}; '
            'write both at the size of the image'
        )
    return classes, levels
