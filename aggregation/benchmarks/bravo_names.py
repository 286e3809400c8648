"""The files of the BRAVO benchmark: which ending belongs to which split, and which image each file speaks of.

A key is an image's path without any ending, `bravo_ACDC/fog/test/GOPR0475/GOPR0475_frame_000247`: predictions, ground
truth, samples and encoded files of one image share it.
"""

from typing import NamedTuple


class Split(NamedTuple):
    """Endings of one split: image (several, as published or converted), prediction, confidence, ground truth, mask."""

    image: tuple[str, ...]
    prediction: str
    confidence: str
    truth: str
    mask: str


def _cityscapes_like() -> Split:
    return Split(
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
    'outofcontext': _cityscapes_like(),
    'synobjs': Split(('.png', '.jpg'), '_pred.png', '_conf.png', '_gt.png', '_mask.png'),
    'synflare': _cityscapes_like(),
    'synrain': _cityscapes_like(),
}
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
    split = folder.removeprefix('bravo_')
    return split if folder.startswith('bravo_') and split in SPLITS else None


def key_of(name: str, kind: str) -> str | None:
    """The key of the file `name` if it is a file of `kind`, else None.

    kind: a field of Split other than image, 'encoded' or 'samples'.
    """
    split = split_of(name)
    if split is None:
        return None
    ending = {'encoded': ENCODED, 'samples': SAMPLES}.get(kind) or getattr(SPLITS[split], kind)
    return name.removesuffix(ending) if name.endswith(ending) else None


def image_key(name: str) -> str | None:
    """The key of an image, or of its ground truth or mask, wherever the folder `bravo_<split>` stands in its path; None
    for other files."""
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
    found = {}
    for name in names:
        key = key_of(name, kind)
        if key is not None:
            found[key] = name
    return found


def name_of(key: str, kind: str) -> str:
    """The path of the file of `kind` that belongs to `key`."""
    ending = {'encoded': ENCODED, 'samples': SAMPLES}.get(kind) or getattr(SPLITS[split_of(key)], kind)
    return key + ending


def subset_of(key: str) -> str:
    """The subset of an image; its folder bravo_<split> where it is in none."""
    return next((subset for subset in SUBSETS if in_subset(key, subset)), key.partition('/')[0])


def in_subset(key: str, subset: str) -> bool:
    split, part = SUBSETS[subset]
    return split_of(key) == split and part in key
